// MathJax is loaded when the first formula comes near the window, and sets each formula only when that one does: a
// chapter has a hundred, and they would hold up the first look at it.
(() => {
  const source = document.currentScript.dataset.source;
  const load = () => {
    const script = document.createElement("script");
    script.src = source;
    script.onerror = () => document.documentElement.classList.add("formulas-as-text");
    document.head.append(script);
  };
  const written = /\\\(|\\\[|\$\$|\\begin\{/;
  const outputs = [...document.querySelectorAll(".cell_output")].filter((output) => written.test(output.textContent));
  const near = new IntersectionObserver((seen) => {
    if (!seen.some((one) => one.isIntersecting)) return;
    near.disconnect();
    const idle = window.requestIdleCallback || ((work) => setTimeout(work, 200));
    idle(load, {timeout: 2000});
  }, {rootMargin: "500px 0px"});
  [...document.querySelectorAll(".math"), ...outputs].forEach((formula) => near.observe(formula));
  window.addEventListener("beforeprint", load, {once: true});
})();
