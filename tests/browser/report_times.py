#!/usr/bin/env python3
"""report_times.py REPORT: how long headless Chromium takes to load a report and, on it, to sort, search and page the table: until
the next frame is drawn, median of five."""
import statistics
import sys

import chromium

UNTIL_DRAWN = """(async () => {
  const start = performance.now();
  %s;
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
})()"""
SEARCH = "(s => { s.value = '%s'; s.dispatchEvent(new Event('input')) })(document.getElementById('links-search'))"
STEPS = (("sort by score", "document.querySelector(\"th[data-column='2'] button\").click()"),
         ("sort by name", "document.querySelector(\"th[data-column='0'] button\").click()"),
         ("search", SEARCH % "0001"), ("search, all found", SEARCH % ""),
         ("next page", "document.getElementById('links-next').click()"))

with chromium.Page(chromium.find() or sys.exit("no Chromium here")) as page:
    page.open(sys.argv[1])
    timing = page.run("(t => [t.domInteractive, t.loadEventEnd, t.transferSize])(performance.getEntriesByType('navigation')[0])")
    print("parsed after %.0f ms, loaded after %.0f ms; %s lines in the table" % (
        timing[0], timing[1], page.run("JSON.parse(document.getElementById('links-data').textContent).rows.length")))
    for name, step in STEPS:
        times = [page.run(UNTIL_DRAWN % step) for _ in range(5)]
        print("%-18s %4.0f ms (at most %.0f)" % (name, statistics.median(times), max(times)))
