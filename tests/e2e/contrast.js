// Every visible text whose contrast to what is behind it is below WCAG 2.2's 1.4.3: 4.5 to 1, large text 3 to 1.
(() => {
  const parse = (colour) => {
    const [r, g, b, alpha = 1] = colour.match(/[\d.]+/g).map(Number);
    return [r, g, b, alpha];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const linear = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const ancestors = (element) => (element ? [...ancestors(element.parentElement), element] : []);
  const found = [];
  const look = (element, text, pseudo) => {
    let [back, opacity] = [[255, 255, 255, 1], 1];
    for (const each of ancestors(element)) {
      const style = getComputedStyle(each);
      back = over(parse(style.backgroundColor), back);
      opacity *= Number(style.opacity);
    }
    const style = getComputedStyle(element, pseudo);
    if (pseudo) back = over(parse(style.backgroundColor), back);
    const ink = parse(style.color);
    ink[3] *= opacity;
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const got = contrast(over(ink, back), back);
    if (got < (large ? 3 : 4.5)) found.push(`${got.toFixed(2)} ${element.tagName}.${element.className} ${text.trim()}`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data, parentElement } = walker.currentNode;
    if (data.trim() && parentElement.checkVisibility()) look(parentElement, data, null);
  }
  for (const heading of document.querySelectorAll(".how h3")) look(heading, "its number", "::before");
  return found;
})()
