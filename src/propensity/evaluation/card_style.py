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
<p class="lead">$lead</p></header>
<main>
<section class="tiles">$tiles</section>
<section><h2>Against the baselines</h2>
<p>All on the same customers and the same held-out window. Popularity gives everyone the same order; own decayed frequency
counts the customer's fortnights with an event in the category, recent ones weighing more.</p>$figures</section>
<section class="charts">$curves$epochs</section>
<section><h2>The largest categories</h2>$categories</section>
<section><h2>What it was made from</h2><dl>$facts</dl></section>
<section><h2>Use and limits</h2>
<p>The scores rank customers for a category and categories for a customer. They have not been calibrated, so a score of
0.3 need not mean three in ten. They say who is likely to act anyway, not whom a message moves.</p></section>
</main>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --page: #f6f7f9; --card: #ffffff; --rule: #dfe3e8;
  --one: #0b63b5; --two: #b4540a; --three: #5f6b7a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --soft: #a3adba; --page: #12161c; --card: #1b212a; --rule: #333c48;
  --one: #6db3f8; --two: #f0a35e; --three: #aab4c0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0; font-size: clamp(1.6rem, 4vw, 2.3rem); line-height: 1.2; }
h2 { margin: 0 0 .5rem; font-size: 1.15rem; }
.eyebrow { margin: 0 0 .3rem; color: var(--soft); font-size: .8rem; letter-spacing: .08em; text-transform: uppercase; }
.version { margin: .2rem 0 0; color: var(--soft); font-family: ui-monospace, monospace; }
.lead { max-width: 46rem; font-size: 1.08rem; }
section { margin-top: 1.2rem; padding: 1.2rem; background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; }
section p { max-width: 46rem; margin: 0 0 .8rem; color: var(--soft); }
.tiles, .charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr));
  padding: 0; background: none; border: 0; }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.tile, figure { margin: 0; padding: 1.1rem 1.2rem; background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; }
.tile span, .tile em, .tile small { display: block; font-style: normal; }
.tile strong { display: block; margin: .1rem 0; font-size: 2.1rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile em { color: var(--one); font-weight: 600; }
.tile small { margin-top: .3rem; color: var(--soft); }
figcaption { margin-bottom: .6rem; font-weight: 600; }
.chart { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .7rem; border-bottom: 1px solid var(--rule); text-align: right; }
th:first-child { padding-left: 0; text-align: left; }
thead th { color: var(--soft); font-size: .85rem; font-weight: 600; vertical-align: bottom; }
tbody th { min-width: 7.5rem; font-weight: 400; overflow-wrap: break-word; }
tbody tr:last-child > * { border-bottom: 0; }
.scroll + p { margin: .8rem 0 0; }
dl { display: grid; gap: .3rem 1.2rem; grid-template-columns: minmax(8rem, 15rem) 1fr; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .5rem 0 0; padding: 0; list-style: none; font-size: .9rem; }
.legend svg { width: 1.9rem; height: .55rem; margin-right: .45rem; }
.grid { stroke: var(--rule); }
.tick { fill: var(--soft); font-size: 15px; }
.mid { text-anchor: middle; }
.end { text-anchor: end; }
polyline, .legend line { fill: none; stroke-width: 2.5; }
.line-0 { stroke: var(--one); }
.line-1 { stroke: var(--two); stroke-dasharray: 8 4; }
.line-2 { stroke: var(--three); stroke-dasharray: 2 4; }
circle.line-0 { fill: var(--card); stroke-width: 2.5; }
@media (max-width: 34rem) { body { padding: 1.2rem .8rem 3rem; } section { padding: 1rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; } th, td { padding: .4rem .45rem; } .tick { font-size: 21px; } }
"""
