#!/usr/bin/env python3
"""report_test.py PROGRAM [axe]: a report in headless Chromium. A cohort with a hostile name is linked and evaluated; the page is
opened, sorted, searched and paged; nothing may be fetched, nothing said on the console, no other script run. With "axe", axe-core
looks at it too, light and dark: no serious violation. Exit codes: 0 as it must be, 1 not, 77 cannot run here."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import chromium

HOSTILE = "sub-<script>document.title='run'</script><img src=x onerror=document.title='run'>"
problems = []


def check(good, what):
    if not good:
        problems.append(what)
        print("FAILED:", what)


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def results(program, folder):
    """A folder of results: 14 people with two scans each in two databases, one of them with a hostile name."""
    run(program, "synth", "-o", folder / "cohort", "--subjects", "14", "--sessions", "2", "--split", "--base", "procedural",
        "--voxel-mm", "2.5", "--quiet")
    with open(folder / "cohort.tsv", "w", encoding="utf-8") as table:
        table.write("path\tscan_id\tdataset\n")
        for place, path in enumerate(sorted((folder / "cohort").glob("*/sub-*/ses-*/anat/*_T1w.nii.gz"))):
            name = HOSTILE if place == 0 else path.name.replace("_T1w.nii.gz", "")
            table.write("%s\t%s\t%s\n" % (path, name, path.parts[-5]))
    run(program, "prepare", folder / "cohort.tsv", "-o", folder / "store", "--template",
        folder / "cohort/template_T1w.nii.gz", "--resolution-mm", "4", "--quiet")
    run(program, "link", folder / "store", "-o", folder / "links", "-m", "bandpass,pearson", "--matrix", "--quiet")
    run(program, "evaluate", folder / "links", "--identities", folder / "cohort/identities.tsv", "--expected-false", "1000",
        "--quiet")
    return folder / "links"


def cells(page, column):
    return page.run("[...document.querySelectorAll('#links-table tbody tr')].map(r => r.cells[%d].innerText)" % column)


def press(page, selector):
    """Clicks by the keyboard: focus, then Enter."""
    page.run("document.querySelector(%r).focus()" % selector)
    for kind in ("keyDown", "keyUp"):
        page.send("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")


def type_into(page, selector, text):
    page.run("document.querySelector(%r).focus(); document.querySelector(%r).select?.()" % (selector, selector))
    page.send("Input.insertText", text=text)


def status(page):
    return page.run("document.getElementById('links-status').textContent")


def check_table(page):
    page.run("document.getElementById('links-size').value = '10'; "
             "document.getElementById('links-size').dispatchEvent(new Event('change'))")
    scores = [float(score) for score in cells(page, 2)]
    total = int(status(page).rsplit(" ", 1)[1])
    check(len(scores) == 10 and total > 20, "a page of 10 of more than 20 lines (%s)" % status(page))
    check(scores == sorted(scores, reverse=True), "the closest first: %s" % scores)
    press(page, "#links-next")
    check(status(page).startswith("11 to 20 of"), "the next page: %s" % status(page))
    check(max(map(float, cells(page, 2))) <= scores[-1], "the next page goes on where the first ended")
    heading = "#links-table th[data-column='2']"
    press(page, heading + " button")
    check(page.run("document.querySelector(%r).ariaSort" % heading) == "descending", "aria-sort after one press")
    press(page, heading + " button")
    check(page.run("document.querySelector(%r).ariaSort" % heading) == "ascending", "aria-sort after two presses")
    rising = [float(score) for score in cells(page, 2)]
    check(rising == sorted(rising) and rising[0] < scores[-1], "sorted the other way: %s" % rising)
    press(page, "#links-table th[data-column='0'] button")
    check(page.run("document.querySelectorAll('#links-table [aria-sort]').length") == 1, "one sorted column")
    names = [name.lower() for name in cells(page, 0)]
    check(names == sorted(names), "sorted by name: %s" % names)
    type_into(page, "#links-search", "sub-a0003")
    found = [a + b for a, b in zip(cells(page, 0), cells(page, 1))]
    check(found and all("sub-A0003" in pair for pair in found), "searched: %s" % found)
    type_into(page, "#links-search", "no such scan")
    check(status(page) == "No line matches." and not cells(page, 0), "nothing found: %s" % status(page))
    type_into(page, "#links-search", "<SCRIPT>")
    check(any(HOSTILE in a + b for a, b in zip(cells(page, 0), cells(page, 1))), "the hostile name is shown as it is")
    type_into(page, "#links-search", " ")


def check_pairs(page):
    link = page.run("(() => { const all = [...document.querySelectorAll('#links-table tbody a')]; "
                    "all.at(-1).id = 'last-link'; return all.at(-1).getAttribute('href') })()")
    press(page, "#last-link")
    page.run("new Promise(done => setTimeout(done, 300))")
    check(page.run("document.activeElement.id") == link[1:], "a link to a pair takes the keyboard there")
    check(page.run("document.querySelector(%r).checkVisibility()" % link), "and shows it")
    check(page.run("[...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt)"), "every picture decodes and has a text")
    check(page.run("document.querySelectorAll('svg.plot').length") >= 8, "plots are there")
    check(page.run("[...document.querySelectorAll('svg.plot')].every(s => s.querySelector('title'))"), "each has a title")


def check_quiet(page):
    """Nothing asked of any network, nothing on the console, no other script."""
    asked = [event["params"]["request"]["url"] for event in page.events if event["method"] == "Network.requestWillBeSent"]
    check(not [url for url in asked if not url.startswith(("file:", "data:"))] and
          sum(url.startswith("file:") for url in asked) == 1, "fetched: %s" % asked)
    said = [event for event in page.events
            if event["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")]
    check(not said, "said on the console: %s" % said)
    check(page.run("document.title") == "samebrain report", "no other script ran")
    page.run("""document.body.append(Object.assign(document.createElement("script"), {textContent: "document.title = 'run'"}))""")
    check(page.run("document.title") == "samebrain report", "the policy stops a script that is put in")


def check_bare(page):
    check(page.run("document.querySelectorAll('#links-table tbody tr').length") > 0, "the table is there without pictures")
    check(page.run("document.images.length") == 0, "no pictures where they are left out")
    dead = page.run("[...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.getElementById(a.hash.slice(1)))"
                    ".map(a => a.hash)")
    check(dead == [], "links to what is not on the page: %s" % dead)


def check_axe(path, axe):
    source = pathlib.Path(axe).read_text(encoding="utf-8")
    for scheme in ("light", "dark"):
        with chromium.Page(chromium.find(), media={"features": [{"name": "prefers-color-scheme", "value": scheme}]}) as page:
            page.send("Page.setBypassCSP", enabled=True)
            page.open(path)
            page.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
            page.run(source + "; 0")
            found = page.run("axe.run().then(r => ({passes: r.passes.length, violations: r.violations.map(v => "
                             "[v.impact, v.id, v.nodes.length, v.nodes[0].html.slice(0, 200), v.nodes[0].failureSummary])}))")
            print("axe, %s: %d rules passed, violated: %s" % (scheme, found["passes"], found["violations"] or "none"))
            check(found["passes"] > 20, "axe looked at the page")
            for violation in found["violations"]:
                check(violation[0] not in ("serious", "critical"), "axe, %s: %s" % (scheme, violation))


def find_axe(folder):
    """axe-core's script, installed by npm into a scratch folder; None where that cannot be had."""
    if os.environ.get("AXE"):
        return os.environ["AXE"]
    if shutil.which("npm") is None:
        return None
    done = subprocess.run(["npm", "install", "--silent", "--no-save", "--ignore-scripts", "--prefix", folder, "axe-core@4"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    script = pathlib.Path(folder) / "node_modules/axe-core/axe.min.js"
    return script if done.returncode == 0 and script.exists() else None


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    if chromium.find() is None:
        skip("no Chromium here (Debian's package chromium)")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="samebrain-browser-"))
    try:
        axe = None
        if "axe" in sys.argv[2:]:
            axe = find_axe(folder / "npm")
            if axe is None:
                skip("no axe-core here (npm, and its registry)")
        links = results(program, folder)
        if axe:
            check_axe(links / "report.html", axe)
        else:
            with chromium.Page(chromium.find()) as page:
                page.open(links / "report.html")
                check_table(page)
                check_pairs(page)
                picture = folder / "report.png"
                page.screenshot(picture)
                check(picture.stat().st_size > 20000, "a screenshot with something on it")
                check_quiet(page)
                run(program, "report", links, "--no-images", "--quiet")
                page.open(links / "report.html")
                check_bare(page)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("%d problems" % len(problems) if problems else "as it must be")
    sys.exit(bool(problems))


main()
