// The reader's language in the pages' scripts: sentences stand in English in the scripts, and translated in the page.
const known = JSON.parse(globalThis.document?.getElementById("words")?.textContent || "{}");

const filled = (text, values) => text.replace(/%\((\w+)\)s/g, (_, name) => String(values[name])).replaceAll("%%", "%");

// A sentence with its values, `%(name)s` each.
export const gettext = (english, values = {}) => filled(known[english] ?? english, values);

// The form that fits a number, which is %(count)s.
export const ngettext = (one, many, count, values = {}) =>
  filled(known[one] ?? (count === 1 ? one : many), {count, ...values});
