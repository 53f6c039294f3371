/** The report's look, light and dark as the reader's system is set. */
export const stylesheet = `
:root {
  color-scheme: light dark;
  --ink: #1c2330; --faint: #5d6878; --paper: #fbfbfa; --card: #ffffff; --rule: #dfe3e8; --grid: #e9ecef;
  --right: 36 116 168; --wrong: 200 80 40;
  --c0: #1f6fa8; --c1: #c8502a; --c2: #2b8a57; --c3: #8a5bb8; --c4: #b07a00; --c5: #4a5560;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e8ee; --faint: #9aa5b4; --paper: #14181e; --card: #1b2028; --rule: #323a45; --grid: #262d36;
    --right: 90 165 220; --wrong: 235 120 80;
    --c0: #62b0e8; --c1: #ef8a63; --c2: #63c592; --c3: #bd94e6; --c4: #e0b04a; --c5: #a9b4c0;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 64rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
header p, .note { color: var(--faint); margin: .2rem 0 0; }
.note { font-size: .85rem; margin-top: .6rem; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 1.1rem 1.2rem; margin-top: 1.2rem; }
section > p:first-of-type { margin-top: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .8rem .28rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
thead th { color: var(--faint); font-weight: 600; font-size: .82rem; vertical-align: bottom; }
tbody th { font-weight: 500; }
tbody tr:last-child > * { border-bottom: 0; }
table.numbers th + th, table.numbers td { text-align: right; white-space: nowrap; }
table.numbers { min-width: 24rem; }
table.labelled th:nth-child(2), table.labelled td:nth-child(2) { text-align: left; }
table.texts, table.trials { width: 100%; font-size: .9rem; }
table.texts td:nth-child(n+2) { min-width: 4.5rem; }
table.trials td:nth-child(n+3):nth-child(-n+5), table.trials th:nth-child(n+3):nth-child(-n+5) { text-align: right; white-space: nowrap; }
.texts tbody th { font-weight: 400; overflow-wrap: anywhere; }
.id { display: block; color: var(--faint); font-size: .78rem; }
.interval, .n { color: var(--faint); font-size: .8rem; font-weight: 400; margin-left: .3rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .5rem 1.5rem; margin: 0; }
dt { color: var(--faint); font-size: .82rem; }
dd { margin: 0; overflow-wrap: anywhere; }
.beside { display: flex; flex-wrap: wrap; gap: 1rem 1.6rem; align-items: flex-start; }
figure { margin: 0; }
figcaption, caption { color: var(--faint); font-size: .82rem; text-align: left; }
caption { padding-bottom: .3rem; }
.beside + .wide { margin-top: 1rem; }
.trials tbody th { white-space: nowrap; }
table.confusion { margin-top: 1.2rem; }
.set + .set { margin-top: 1.6rem; }
.confusion thead th span { writing-mode: vertical-rl; transform: rotate(180deg); }
.confusion tbody th { position: sticky; left: 0; background: var(--card); }
.example { display: block; overflow-wrap: anywhere; }
.confusion th, .confusion td { border: 0; padding: .3rem .6rem; text-align: right; }
.confusion thead th { text-align: center; vertical-align: bottom; }
.confusion td { min-width: 2.6rem; text-align: center; border: 2px solid var(--card); border-radius: 4px; }
.confusion td.right { background: rgb(var(--right) / calc(var(--share) * .8)); }
.confusion td.wrong { background: rgb(var(--wrong) / calc(var(--share) * .8)); }
svg .band { fill: rgb(var(--right) / .18); }
svg .line.faint { stroke: var(--faint); opacity: .3; stroke-width: 1; }
svg { max-width: 100%; height: auto; display: block; }
svg text { fill: var(--faint); font: 11px system-ui, sans-serif; }
svg .grid { stroke: var(--grid); }
svg .axis { stroke: var(--rule); }
svg .guide { fill: none; stroke: var(--faint); stroke-dasharray: 4 4; opacity: .7; }
svg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; opacity: .85; }
svg .dot { opacity: .85; }
svg .cross { font-size: 16px; fill: rgb(var(--wrong)); }
.legend { display: flex; gap: 1.2rem; margin: .2rem 0 .4rem; font-size: .85rem; }
.legend i { display: inline-block; width: .75rem; height: .75rem; border-radius: 50%; margin-right: .35rem; }
${[0, 1, 2, 3, 4, 5]
  .map(
    (i) =>
      `.dot.c${i} { fill: var(--c${i}); } .line.c${i} { stroke: var(--c${i}); } i.c${i} { background: var(--c${i}); }`,
  )
  .join('\n')}
`;
