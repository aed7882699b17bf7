"""How a report looks, on a screen and on paper."""

RULES = """
:root { color-scheme: light; }
body { font: 14px/1.45 system-ui, sans-serif; color: #111; background: #fff; max-width: 760px; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.5em; margin: 0 0 .2em; } h2 { font-size: 1.1em; margin: 1.6em 0 .4em; }
p { margin: .3em 0; } .reason { font-size: 1.05em; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: 2px 8px 2px 0; border-bottom: 1px solid #ddd; vertical-align: top;
  overflow-wrap: anywhere; }
.facts th { width: 11em; font-weight: 600; } .number { text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; margin: .4em 0; } svg text { font: 11px system-ui, sans-serif; fill: #333; }
svg .title { font-weight: 600; } .grid { stroke: #e4e4e4; } .axis { stroke: #333; }
.goal { stroke: #333; stroke-dasharray: 5 4; } .path { fill: none; stroke-width: 1.5; }
.one { fill: #0b5cad; stroke: #0b5cad; } .two { fill: #c2410c; stroke: #c2410c; }
.before { fill: #9aa3ad; stroke: #9aa3ad; } .after { fill: #0b5cad; stroke: #0b5cad; }
polyline.one, polyline.two, polyline.before, polyline.after { fill: none; }
footer { margin-top: 2em; font-size: 12px; color: #555; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } table { font-size: 10px; }
  svg, tr { break-inside: avoid; } h2 { break-after: avoid; } }
"""
