// What lies in a fold has no width until it is opened. The theme looks for boxes that scroll, to make them reachable
// by keyboard, when the window's size changes; so an opened fold counts as such a change.
document.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")), true);
