"""A page as it is printed, and in a system's own few colours (forced colours): what of it is lost there."""

from __future__ import annotations

from typing import Any

from axe import SOURCE

PAPER_WIDTH = 718
"""CSS pixels: A4, 210 mm, without 10 mm at either side."""
CONTRAST = """(async () => {
  const found = await axe.run(document, {runOnly: {type: "rule", values: ["color-contrast"]}});
  return found.violations.flatMap(rule => rule.nodes.map(node => `contrast: ${node.target.join(" ")}`));
})()"""
SEEN = """
  const seen = each => each.getClientRects().length > 0 && getComputedStyle(each).visibility === "visible";
  const told = each => each.outerHTML.replace(/\\s+/g, " ").slice(0, 90);
  const clear = colour => /^(transparent|rgba\\(.*, 0\\))$/.test(colour);
"""
PRINTED = f"""(() => {{ {SEEN}
  const faults = [], style = getComputedStyle(document.body);
  if (document.documentElement.scrollWidth > innerWidth) faults.push("wider than the paper");
  for (const each of document.querySelectorAll("button, input[type=submit], nav a"))
    if (seen(each)) faults.push("cannot be pressed on paper: " + told(each));
  for (const each of document.querySelectorAll("*"))
    if (seen(each) && /auto|scroll/.test(getComputedStyle(each).overflowX) && each.scrollWidth > each.clientWidth + 1)
      faults.push("cut off on paper: " + told(each));
  return faults;
}})()"""
FORCED = f"""(() => {{ {SEEN}
  const faults = [], canvas = getComputedStyle(document.body).backgroundColor;
  const ground = each => {{
    const colour = each === null ? canvas : getComputedStyle(each).backgroundColor;
    return clear(colour) ? ground(each.parentElement) : colour;
  }};
  const look = each => {{
    const style = getComputedStyle(each), inner = each.firstElementChild && getComputedStyle(each.firstElementChild);
    const sign = getComputedStyle(each.firstElementChild || each, "::before").content;
    return [style.backgroundColor, style.backgroundImage, style.outlineStyle, style.borderStyle, sign,
            inner && inner.backgroundImage].join(" ");
  }};
  for (const legend of document.querySelectorAll(".legend, dl")) {{
    const keys = [...legend.querySelectorAll(".key")].filter(seen), looks = new Set(keys.map(look));
    if (looks.size < keys.length) faults.push("keys look alike: " + told(legend));
  }}
  for (const each of document.querySelectorAll("svg :is(rect, path, circle, line, polyline, polygon)")) {{
    const style = getComputedStyle(each), box = each.getBoundingClientRect(), under = ground(each.parentElement);
    const plain = colour => clear(colour) || colour === under || colour === "none";
    const invisible = plain(style.fill) && (plain(style.stroke) || parseFloat(style.strokeWidth) === 0);
    const whole = each.ownerSVGElement.getBoundingClientRect(), plate = box.width >= whole.width * 0.95;
    if (seen(each) && box.width * box.height > 4 && invisible && !plate && !each.closest("defs, clipPath, mask"))
      faults.push("cannot be seen: " + told(each));
  }}
  for (const each of document.querySelectorAll("[aria-current]")) {{
    const others = [...each.parentElement.parentElement.querySelectorAll(each.tagName)].filter(seen);
    const mark = one => {{
      const style = getComputedStyle(one);
      return [style.fontWeight, style.textDecorationLine, style.borderBottom, style.outline].join();
    }};
    if (seen(each) && others.some(one => !one.hasAttribute("aria-current") && mark(one) === mark(each)))
      faults.push("not marked as current: " + told(each));
  }}
  return faults;
}})()"""


def faults(browser: Any, *, dark: bool) -> list[str]:
    """What is lost of the open page on paper, where the screen was light or dark, and in forced colours."""
    if browser.evaluate("typeof axe") == "undefined":
        browser.evaluate(SOURCE + ";null")
    found = []
    browser.emulate(PAPER_WIDTH, 1_000, dark=dark, printed=True)
    found += [f"printed: {fault}" for fault in [*browser.evaluate(PRINTED), *browser.evaluate(CONTRAST)]]
    browser.emulate(1_280, 900, dark=dark, forced=True)
    found += [f"forced colours: {fault}" for fault in [*browser.evaluate(FORCED), *browser.evaluate(CONTRAST)]]
    return found
