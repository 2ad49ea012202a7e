"""The model card's page and style sheet."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Model card: $region, $version</title>
<style>$style</style>
</head>
<body>
<header><p class="eyebrow">Propensity model card</p><h1>$region</h1><p class="version">$version</p>
<p class="lead">$lead</p>
<nav aria-label="On this page"><a href="#figures">Figures</a> <a href="#plots">Plots</a> <a href="#reading">How to read this</a>
<a href="#slices">Where it is good</a>
<a href="#by-category">Categories</a> <a href="#made-from">Made from</a> <a href="#limits">Limits</a></nav></header>
<main>
$verdict
<section class="tiles" aria-label="Figures to remember">$tiles</section>
<section id="figures"><h2>Against the baselines</h2>
<p>All on the same customers and the same held-out window.</p>$figures</section>
<section class="charts" id="plots" aria-label="Plots">$charts</section>
<section id="reading"><h2>How to read this</h2><dl class="words">$reading</dl></section>
<section><details><summary>The plots' numbers</summary>$numbers</details></section>
<section id="slices"><h2>Where it is good and where it is not</h2>
<p>Pairs that the customer acted on before and pairs that they did not are judged apart, and so are large and small
categories.</p>$slices</section>
<section><h2>Does the number of buyers come out right?</h2>
<p>Probabilities added up, next to those who acted.</p>$sizes</section>
<section><h2>New customers</h2>
<p>What a score is worth when little is known. To compare like with like, all customers are scored with their history hidden, then
with it.</p>$rungs</section>
$promises
<section id="by-category"><h2>Category by category</h2>
<p class="tools" id="categories-tools" hidden><label>Search <input type="search" autocomplete="off" aria-controls="categories">
</label><output role="status"></output></p>$categories</section>
$changes
<section class="charts course">$course</section>
<section id="made-from"><h2>What it was made from</h2><dl>$facts</dl></section>
<section id="limits"><h2>What this model cannot tell</h2><ul>$limits</ul></section>
</main>
<script>$script</script>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #55606e; --page: #f6f7f9; --card: #ffffff; --rule: #dfe3e8;
  --one: #0b63b5; --two: #a84c06; --three: #5f6b7a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --soft: #a9b3c0; --page: #12161c; --card: #1b212a; --rule: #36404d;
  --one: #6db3f8; --two: #f0a35e; --three: #aab4c0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.2rem 4rem; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0; font-size: clamp(1.6rem, 4vw, 2.3rem); line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 .5rem; font-size: 1.15rem; }
.eyebrow { margin: 0 0 .3rem; color: var(--soft); font-size: .8rem; letter-spacing: .08em; text-transform: uppercase; }
.version { margin: .2rem 0 0; color: var(--soft); font-family: ui-monospace, monospace; }
.lead { max-width: 52rem; font-size: 1.08rem; }
a { color: var(--one); }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
section { margin-top: 1.2rem; padding: 1.2rem; background: var(--card); border: 1px solid var(--rule); border-radius: .6rem;
  scroll-margin-top: 1rem; }
section p { max-width: 52rem; margin: 0 0 .8rem; color: var(--soft); }
.tiles, .charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr));
  padding: 0; background: none; border: 0; }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.course { grid-template-columns: minmax(0, 38rem); }
.charts:empty { display: none; }
.tile, figure { margin: 0; padding: 1.1rem 1.2rem; background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; }
.tile span, .tile em, .tile small { display: block; font-style: normal; }
.tile span { color: var(--soft); }
.tile strong { display: block; margin: .1rem 0; font-size: 2rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile em { font-size: .9rem; font-weight: 600; }
.tile small { margin-top: .3rem; color: var(--soft); }
figcaption { margin-bottom: .6rem; font-weight: 600; }
.chart { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; background: linear-gradient(to right, var(--card) 30%, transparent) left / 3rem 100% no-repeat local,
  linear-gradient(to left, var(--card) 30%, transparent) right / 3rem 100% no-repeat local,
  linear-gradient(to right, var(--rule), transparent) left / .8rem 100% no-repeat,
  linear-gradient(to left, var(--rule), transparent) right / .8rem 100% no-repeat; }
.scroll + .scroll { margin-top: 1.2rem; }
:focus-visible { outline: 2px solid var(--one); outline-offset: 2px; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { padding-bottom: .4rem; color: var(--soft); font-size: .85rem; text-align: left; }
caption span { position: sticky; left: 0; display: inline-block; max-width: calc(100vw - 4.5rem); }
.pair { display: grid; gap: 0 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); margin: 1.2rem 0; }
.pair .scroll { margin: 0 0 1.2rem; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top; }
th:first-child { position: sticky; left: 0; padding-left: 0; background: var(--card); text-align: left; }
thead th { color: var(--soft); font-size: .85rem; font-weight: 600; vertical-align: bottom; }
tbody th { min-width: 9rem; max-width: 20rem; font-weight: 500; overflow-wrap: break-word; }
td small, th small { display: block; color: var(--soft); font-size: .78rem; font-weight: 400; }
td small { white-space: nowrap; }
.says { color: var(--ink); }
tbody tr:last-child > * { border-bottom: 0; }
#by-category thead th { max-width: 6.5rem; }
#by-category th, #by-category td { padding-right: .3rem; }
th button { padding: .15rem .3rem; margin: 0 -.3rem; border: 0; border-radius: .3rem; background: none; color: inherit;
  font: inherit; text-align: inherit; cursor: pointer; }
th button::after { content: "\\a0\\2195" / ""; opacity: .6; }
th[aria-sort=ascending] button::after { content: "\\a0\\2191" / ""; opacity: 1; }
th[aria-sort=descending] button::after { content: "\\a0\\2193" / ""; opacity: 1; }
th[aria-sort] { color: var(--ink); }
#verdict td:nth-child(2) { white-space: nowrap; }
#verdict th:last-child, #verdict td:last-child { min-width: 14rem; text-align: left; }
#changes td { overflow-wrap: anywhere; }
.bar { display: block; width: 4.5rem; height: .3rem; margin: .2rem 0 0 auto; border-radius: .15rem; print-color-adjust: exact;
  background: linear-gradient(to right, var(--one) var(--share), var(--rule) 0); }
.tools label { display: flex; gap: .6rem; align-items: center; }
.tools { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; }
.tools[hidden] { display: none; }
input { min-width: 12rem; padding: .35rem .6rem; border: 1px solid var(--three); border-radius: .4rem; background: var(--page);
  color: var(--ink); font: inherit; }
#by-category .scroll { max-height: 40rem; overflow: auto; }
#by-category thead th { position: sticky; top: 0; z-index: 1; background: var(--card); }
#by-category thead th:first-child { z-index: 2; }
dl { display: grid; gap: .3rem 1.2rem; grid-template-columns: minmax(8rem, 15rem) 1fr; margin: 0; }
dt { color: var(--soft); }
.words dt { color: var(--ink); font-weight: 600; }
dd { margin: 0; max-width: 52rem; overflow-wrap: anywhere; }
section ul { max-width: 52rem; margin: 0; padding-left: 1.2rem; }
summary { cursor: pointer; font-weight: 600; }
details[open] summary { margin-bottom: .8rem; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .5rem 0 0; padding: 0; list-style: none; font-size: .9rem; }
.legend svg { width: 1.9rem; height: .8rem; margin-right: .45rem; }
.grid { stroke: var(--rule); }
.tick { fill: var(--soft); font-size: 15px; }
.value { fill: var(--ink); }
.mid { text-anchor: middle; }
.end { text-anchor: end; }
polyline, .legend line { fill: none; stroke-width: 2.5; }
.line-0 { stroke: var(--one); }
.line-1 { stroke: var(--two); stroke-dasharray: 8 4; }
.line-2 { stroke: var(--three); stroke-dasharray: 2 4; }
circle.line-0 { fill: var(--card); stroke-width: 2.5; }
.bar-0 { fill: var(--one); }
.bar-1 { fill: none; stroke: var(--two); stroke-width: 2; stroke-dasharray: 5 3; }
@media (max-width: 40rem) { body { padding: 1.2rem .8rem 3rem; } section { padding: 1rem; }
  .tiles, .charts { padding: 0; } .course { grid-template-columns: 1fr; } figure { padding: .9rem .8rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; } th, td { padding: .4rem .45rem; } tbody th { min-width: 6.5rem; max-width: 8.5rem; }
  tbody th small { display: none; }
  .tick { font-size: 21px; } }
@media print { :root { --page: #fff; --ink: #000; --soft: #333; --card: #fff; --rule: #bbb; --one: #0b63b5; --two: #a84c06;
    --three: #555; }
  body { max-width: none; padding: 0; font-size: 9.5pt; } nav, .tools, script { display: none; }
  .scroll, #by-category .scroll { max-height: none; overflow: visible; } th button::after { content: ""; }
  table { font-size: 8pt; } #by-category table { font-size: 7pt; } td small { white-space: normal; }
  th, td { padding: .2rem .3rem; } .bar { width: 2.5rem; }
  details::details-content { block-size: auto; content-visibility: visible; }
  .tile, figure, tr { break-inside: avoid; } thead { display: table-header-group; }
  th:first-child, #by-category thead th { position: static; } }
"""
