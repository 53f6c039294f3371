/** The look of the page for raters, light and dark as the reader's system is set, on a phone as on a desk. */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --ink: #1c2330; --faint: #525d6d; --paper: #fbfbfa; --card: #ffffff; --rule: #767f8c; --accent: #1a5f92; --on-accent: #ffffff; --wrong: #a5330f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e8ee; --faint: #a7b1bf; --paper: #14181e; --card: #1b2028; --rule: #7d8794; --accent: #7cc0ef; --on-accent: #10151b; --wrong: #ff9c78;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem 1rem 3rem; max-width: 44rem; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.3rem; margin: .4rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.2rem 0 .4rem; }
#status { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
#status.shown { position: static; width: auto; height: auto; margin: 0; clip-path: none; white-space: normal; color: var(--wrong); }
.prose, .text { white-space: pre-wrap; overflow-wrap: anywhere; }
.text { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 1rem; margin: .6rem 0 1rem; font-size: 1.2rem; }
.consent { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .8rem 1rem; }
bdi { unicode-bidi: isolate; }
.progress { display: flex; gap: .8rem; align-items: center; margin: .2rem 0; color: var(--faint); }
progress { flex: 1; accent-color: var(--accent); }
fieldset { border: 0; padding: 0; margin: 0; min-width: 0; }
legend { font-weight: 600; padding: 0; margin-bottom: .5rem; }
.choices { display: grid; gap: .5rem; }
.choices.row { grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); }
.choice { display: flex; align-items: center; gap: .6rem; margin: 0; min-height: 2.75rem; }
.choice label { flex: 1; padding: .5rem 0; overflow-wrap: anywhere; cursor: pointer; }
.choice input { width: 1.4rem; height: 1.4rem; margin: 0; flex: none; accent-color: var(--accent); }
.choice input[type=number] { width: 8rem; height: 2.75rem; font: inherit; }
kbd { font: .8rem ui-monospace, monospace; border: 1px solid var(--rule); border-radius: 4px; padding: 0 .35rem; color: var(--faint); }
small, .note, .asked { color: var(--faint); }
.note { font-size: .9rem; }
.problem { color: var(--wrong); font-weight: 600; }
button { font: inherit; font-weight: 600; min-height: 2.75rem; padding: .5rem 1.6rem; border: 0; border-radius: 8px; background: var(--accent); color: var(--on-accent); cursor: pointer; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
main[aria-busy=true] { opacity: .6; }
`;
