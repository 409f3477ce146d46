// The theme makes boxes that scroll reachable by keyboard. Two things it does not see:

// What lies in a fold has no width until it is opened. The theme looks again when the window's size changes, so
// opened folds count as such a change, all that open at once as one.
let opened;
document.addEventListener("toggle", () => {
  clearTimeout(opened);
  opened = setTimeout(() => window.dispatchEvent(new Event("resize")), 100);
}, true);

// Formulas that are wider than the page scroll, too.
let resized;
const reachFormulas = () => {
  const formulas = [...document.querySelectorAll("mjx-container[display]")];
  const scrolls = formulas.map((formula) => formula.scrollWidth > formula.clientWidth);
  formulas.forEach((formula, place) => {
    if (scrolls[place]) formula.setAttribute("tabindex", "0");
    else formula.removeAttribute("tabindex");
  });
};
const reachSoon = () => {
  clearTimeout(resized);
  resized = setTimeout(reachFormulas, 100);
};
window.addEventListener("resize", reachSoon);
// They are set while the reader goes on.
new MutationObserver((changes) => {
  const added = changes.flatMap((change) => [...change.addedNodes]);
  if (added.some((node) => node.nodeName === "MJX-CONTAINER")) reachSoon();
}).observe(document, {childList: true, subtree: true});
