# SPDX-License-Identifier: BSD-3-Clause
"""The look of a page. No fonts, scripts or pictures from elsewhere."""

CSS = """\
:root { --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --good: #d6f0dd; --fair: #fdf0c4;
  --poor: #fbdcd8; --accent: #0b5cad; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0 auto; max-width: 80rem; padding: 1rem 1rem 3rem; color: var(--ink);
  background: #fff; font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
  "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0.5rem 0 0.3rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 0.6rem; padding-bottom: 0.2rem;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 0.3rem; }
p { margin: 0.5rem 0; max-width: 60rem; }
ul { margin: 0.4rem 0; padding-left: 1.2rem; max-width: 60rem; }
a { color: var(--accent); }
.subtitle, .note, figcaption, footer, .unit { color: var(--soft); }
.note, figcaption, footer { font-size: 0.85rem; }
nav { display: flex; flex-wrap: wrap; gap: 0.3rem 1rem; margin-top: 0.6rem; }
/* A shadow where there is more to the side; the first two layers move with the table. */
.table { overflow-x: auto; margin: 0.6rem 0; max-width: 100%; background:
  linear-gradient(to right, #fff 1rem, transparent) 0 0 / 3rem 100% no-repeat local,
  linear-gradient(to left, #fff 1rem, transparent) 100% 0 / 3rem 100% no-repeat local,
  linear-gradient(to right, #0003, transparent) 0 0 / 0.7rem 100% no-repeat scroll,
  linear-gradient(to left, #0003, transparent) 100% 0 / 0.7rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0.3rem 0; }
th, td { padding: 0.25rem 0.7rem; text-align: left; vertical-align: top; white-space: nowrap;
  border-bottom: 1px solid var(--line); overflow-wrap: normal; }
th { vertical-align: bottom; font-weight: 600; border-bottom: 2px solid var(--soft); }
.breaks { white-space: normal; min-width: 5rem; max-width: 10rem; }
td:first-child, th:first-child { padding-left: 0.2rem; }
.number { text-align: right; }
.wraps { white-space: normal; min-width: 16rem; }
.unit { font-weight: 400; font-size: 0.8rem; }
.mark { font-size: 0.8em; }
.good { background: var(--good); } .fair { background: var(--fair); }
.poor { background: var(--poor); }
.grade { display: inline-block; padding: 0 0.5rem; border-radius: 0.3rem; font-weight: 600;
  white-space: nowrap; }
.cards { display: grid; gap: 0.8rem; margin: 0.8rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); }
.card { border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.6rem 0.8rem; }
.card .name { color: var(--soft); font-size: 0.85rem; }
.card .value { font-size: 1.35rem; font-weight: 600; }
.card .meaning { font-size: 0.85rem; }
.pictures { display: grid; gap: 1rem; margin: 0.8rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; break-inside: avoid; }
img { width: 100%; height: auto; max-width: 46rem; }
.scales li { margin: 0.3rem 0; }
.long { max-height: 26rem; overflow-y: auto; border-bottom: 1px solid var(--line); }
.long thead { position: sticky; top: 0; background: #fff; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 0.5rem; }
@media (max-width: 40rem) { body { padding: 0.7rem 0.8rem 2rem; } h1 { font-size: 1.4rem; }
  table { font-size: 0.82rem; } th, td { padding: 0.25rem 0.5rem; } }
@media print { @page { margin: 14mm; } body { max-width: none; padding: 0; font-size: 9.5pt; }
  nav { display: none; } h2, h3, caption { break-after: avoid; } tr { break-inside: avoid; }
  .table { overflow: visible; background: none; } table { font-size: 8pt; width: auto; }
  th, td { padding: 0.15rem 0.35rem; } .wraps { min-width: 0; }
  .pictures { grid-template-columns: 1fr 1fr; } .card { break-inside: avoid; }
  .long { max-height: none; } .long thead { position: static; }
  .good, .fair, .poor { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
"""
