// Filters of the claims page. Without this file the page is the full list.
(() => {
  const page = document.getElementById("all-claims");
  if (!page) return;
  const chapters = [...page.querySelectorAll(".claims-chapter")];
  const controls = [...page.querySelectorAll("[data-filter]")];
  const shown = page.querySelector("output");
  const narrow = window.matchMedia("(max-width: 600px)").matches;

  const suits = (claim, chapter, wanted) =>
    (!wanted.chapter || chapter === wanted.chapter) &&
    ["verdict", "method", "agreement"].every((kind) => !wanted[kind] || claim.dataset[kind] === wanted[kind]) &&
    claim.textContent.toLowerCase().includes((wanted.words || "").toLowerCase());

  const filter = () => {
    const wanted = Object.fromEntries(controls.map((control) => [control.dataset.filter, control.value]));
    const filtered = Object.values(wanted).some(Boolean);
    let count = 0;
    for (const chapter of chapters) {
      let here = 0;
      for (const claim of chapter.querySelectorAll(".claim")) {
        claim.hidden = !suits(claim, chapter.dataset.chapter, wanted);
        here += !claim.hidden;
      }
      chapter.hidden = here === 0;
      chapter.open = filtered || !narrow;
      count += here;
    }
    shown.textContent = `${count} shown`;
  };

  // A phone begins with the chapters; a link to one claim opens its chapter.
  const openLinked = () => {
    const claim = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const chapter = claim && claim.closest(".claims-chapter");
    if (chapter) {
      chapter.open = true;
      claim.scrollIntoView();
    }
  };

  controls.forEach((control) => control.addEventListener("input", filter));
  page.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", openLinked);
  filter();
  openLinked();
})();
