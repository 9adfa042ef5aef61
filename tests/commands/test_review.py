"""`refrad review` as a process, visited by a headless Chromium and by programs that should not get in."""

import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.factories.review_site import HOSTILE, write_review_site

from browser import browsing, wait_for
from refrad.core.tables import frame_of, write_table
from refrad.dataset.shard_io import read_rows
from refrad.review.feedback import leave_out
from refrad.review.items import caption_digest
from refrad.review.judgement import ReviewVerdict
from refrad.review.left_out import LeftOutTable
from refrad.review.verdicts import open_verdicts
from refrad.workflow.fingerprint import Fingerprint

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
DESKTOP = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}


@contextmanager
def reviewing(folder, *words):
    """The command in a folder: the address of its first page, and its process."""
    command = [sys.executable, "-m", "refrad", "review", "config.yaml", *words]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        process.stdout.readline()
        address = process.stdout.readline().strip()
        assert address, process.stderr.read()
        yield address, process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_review_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def server(site):
    with reviewing(site) as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory, server):
    with browsing(tmp_path_factory.mktemp("profile")) as browser:
        visit(browser, server)
        wait_for(lambda: browser.run("document.body?.dataset.page") == "pairs")
        yield browser


def visit(browser, address):
    browser.run("window.left = true")
    browser.call("Page.navigate", url=address)
    wait_for(lambda: browser.run("document.readyState === 'complete' && !window.left"))


def press(browser, key):
    """Press a key where the focus is."""
    browser.run(
        f"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{key: {json.dumps(key)}, bubbles: true, cancelable: true}}))"
    )


def text(browser, selector):
    return browser.run(f"document.querySelector({json.dumps(selector)})?.textContent.trim()")


def texts(browser, selector):
    return browser.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent.trim())")


def root_of(address):
    return address.split("/start")[0]


def name_reviewer(browser, server, name):
    visit(browser, f"{root_of(server)}/reviewer")
    browser.run(
        f"document.querySelector('[name=name]').value = {json.dumps(name)}; document.querySelector('#reviewer button').click()"
    )
    wait_for(lambda: browser.run("document.body?.dataset.page") == "pairs" and text(browser, ".who b") == name)


def open_pair(browser, server, query=""):
    """The page of the first pair of a selection."""
    visit(browser, f"{root_of(server)}/{query}")
    visit(browser, browser.run("document.querySelector('a.open').href"))


def verdicts_in(site):
    with sqlite3.connect(site / "private" / "review" / "verdicts.sqlite") as database:
        return database.execute(
            "select reviewer, verdict, entity, reason, item, queue from verdicts order by number"
        ).fetchall()


def saved(browser, site, act):
    """The verdict that an act adds to the file: it is there as soon as the page says so."""
    count = len(verdicts_in(site))
    browser.run("document.querySelector('#status').textContent = ''; document.querySelector('#alert').textContent = ''")
    act()
    wait_for(lambda: text(browser, "#status") or text(browser, "#alert"))
    assert text(browser, "#status").startswith(("Saved", "Undone")), text(browser, "#alert")
    rows = verdicts_in(site)
    assert len(rows) == count + 1
    return rows[-1]


def test_token_leaves_the_address_bar(browser, server):
    visit(browser, server)
    wait_for(lambda: browser.run("location.pathname") == "/")
    assert "token" not in browser.run("location.href + document.cookie")


def test_list_has_all_pairs_by_page(browser, server):
    visit(browser, root_of(server))
    assert text(browser, "#count") == "30 pairs, page 1 of 2"
    assert len(texts(browser, "a.open")) == 24
    press(browser, "n")
    wait_for(lambda: text(browser, "#count") == "30 pairs, page 2 of 2")
    assert len(texts(browser, "a.open")) == 6


def test_filters_and_words_choose_pairs(browser, server):
    visit(browser, root_of(server))
    browser.run(
        "(s => { s.value = 'de'; s.dispatchEvent(new Event('change', {bubbles: true})) })(document.querySelector('[name=language]'))"
    )
    wait_for(lambda: text(browser, "#count") == "1 pair")
    assert browser.run("location.search") == "?language=de"
    visit(browser, root_of(server))
    press(browser, "/")
    browser.run("document.activeElement.value = 'unauffällig MILZ'; document.activeElement.form.requestSubmit()")
    wait_for(lambda: text(browser, "#count") == "1 pair")
    assert texts(browser, "a.open") == ["Milz und Leber unauffällig."]
    visit(browser, f"{root_of(server)}/?text=nothing+has+this")
    assert "No pair" in text(browser, "main")


def test_text_of_the_dataset_is_never_code(browser, server):
    visit(browser, f"{root_of(server)}/?text=script")
    assert texts(browser, "a.open") == [HOSTILE]
    name_reviewer(browser, server, "AB")
    open_pair(browser, server, "?text=script")
    assert text(browser, "#text").replace("1", "").replace("2", "") == HOSTILE
    assert (
        browser.run("document.title").startswith("Pair")
        and browser.run("document.querySelector('main script, main img')") is None
    )


def test_verdict_needs_a_name_once(browser, server):
    browser.call("Network.clearBrowserCookies")
    visit(browser, server)
    wait_for(lambda: browser.run("document.body?.dataset.page") == "pairs")
    visit(browser, browser.run("document.querySelector('a.open').href"))
    assert browser.run("document.body.dataset.page") == "reviewer"
    browser.run(
        "document.querySelector('[name=name]').value = ' Dr.  Ä. <b>Beispiel '; document.querySelector('#reviewer button').click()"
    )
    wait_for(lambda: browser.run("document.body?.dataset.page") == "pair")
    assert text(browser, ".who b") == "Dr. Ä. <b>Beispiel"


def test_keys_judge_and_undo(browser, server, site):
    name_reviewer(browser, server, "AB")
    open_pair(browser, server)
    assert saved(browser, site, lambda: press(browser, "a")) == ("AB", "accept", None, "", "caption", "browse")
    assert texts(browser, ".judged .verdict") == ["AB: accepted"]

    press(browser, "r")
    assert browser.run("document.querySelector('#reject').open")
    press(browser, "3")
    row = saved(browser, site, lambda: press(browser, "Enter"))
    assert row == ("AB", "reject", None, "the sentence is wrong", "caption", "browse")
    assert texts(browser, ".judged .verdict") == ["AB: rejected (the sentence is wrong)"]

    assert saved(browser, site, lambda: press(browser, "u"))[1] == "undo"
    assert texts(browser, ".judged .verdict") == ["AB: accepted"]
    assert saved(browser, site, lambda: press(browser, "u"))[1] == "undo"
    assert texts(browser, ".judged .verdict") == []
    press(browser, "u")
    wait_for(lambda: text(browser, "#status") == "You have no verdict here to undo.")
    visit(browser, browser.run("location.href"))
    assert texts(browser, ".judged .verdict") == []


@pytest.mark.parametrize(("key", "verdict"), [("s", "wrong_span"), ("b", "wrong_box"), ("d", "wrong_side")])
def test_wrong_phrase_is_the_chosen_one(browser, server, site, key, verdict):
    name_reviewer(browser, server, "AB")
    open_pair(browser, server)
    press(browser, key)
    wait_for(lambda: "which phrase" in text(browser, "#alert"))
    browser.run("document.querySelectorAll('.span')[1].click()")
    assert browser.run("[...document.querySelectorAll('rect.box.chosen')].map((box) => box.dataset.entities)") == ["1"]
    assert saved(browser, site, lambda: press(browser, key)) == ("AB", verdict, 1, "", "caption", "browse")
    assert texts(browser, ".judged .verdict")[-1] == f"AB: {verdict.replace('_', ' ')} of spleen"
    saved(browser, site, lambda: press(browser, "u"))


def test_question_is_judged_where_the_focus_is(browser, server, site):
    name_reviewer(browser, server, "AB")
    open_pair(browser, server)
    press(browser, "v")
    assert saved(browser, site, lambda: press(browser, "a"))[1:5] == ("accept", None, "", "question")
    assert texts(browser, ".question .verdict") == ["AB: accepted"]
    press(browser, "b")
    wait_for(lambda: "a question has no span" in text(browser, "#alert"))
    saved(browser, site, lambda: press(browser, "u"))


def test_two_reviewers_see_each_other(browser, server, site):
    for name in ("CD", "EF"):
        name_reviewer(browser, server, name)
        open_pair(browser, server, "?language=de")
        saved(browser, site, lambda: press(browser, "a"))
    assert texts(browser, ".judged .verdict") == ["CD: accepted", "EF: accepted"]
    saved(browser, site, lambda: press(browser, "u"))
    assert texts(browser, ".judged .verdict") == ["CD: accepted"]
    visit(browser, f"{root_of(server)}/?verdict=accept")
    assert texts(browser, "a.open") == ["Milz und Leber unauffällig."]


def test_pairs_follow_each_other_while_verdicts_take_them_out(browser, server, site):
    name_reviewer(browser, server, "GH")
    open_pair(browser, server, "?verdict=none&split=train")
    first = browser.run("JSON.parse(document.querySelector('#pair').dataset.key).image_id")
    saved(browser, site, lambda: press(browser, "a"))
    press(browser, "j")
    wait_for(
        lambda: (
            browser.run("JSON.parse(document.querySelector('#pair')?.dataset.key ?? '{}').image_id")
            not in (None, first)
        )
    )
    second = browser.run("JSON.parse(document.querySelector('#pair').dataset.key).image_id")
    visit(browser, f"{root_of(server)}/?verdict=none&split=train")
    assert browser.run("document.querySelector('a.open').href").split("image=")[1].startswith(second)


@pytest.mark.parametrize(("query", "marks"), [("?plane=axial&split=train", "R,L,A,P"), ("?plane=coronal", "R,L,H,F")])
def test_side_marks_follow_the_affine(browser, server, query, marks):
    name_reviewer(browser, server, "AB")
    open_pair(browser, server, query)
    assert ",".join(texts(browser, ".side")) == marks
    assert browser.run("document.querySelector('#picture').getBoundingClientRect().width") > 100


def test_picture_has_the_proportions_of_the_patient(browser, server):
    name_reviewer(browser, server, "AB")
    open_pair(browser, server, "?plane=coronal")
    assert browser.run("document.querySelector('#slice').getAttribute('viewBox')") == "0 0 64.0 128.0"


def test_picture_without_a_volume_says_so(browser, server):
    name_reviewer(browser, server, "AB")
    for index in range(30):
        visit(browser, f"{root_of(server)}/?page={index // 24 + 1}")
        visit(browser, browser.run(f"document.querySelectorAll('a.open')[{index % 24}].href"))
        if "gone" in text(browser, ".origin"):
            break
    assert "not in the store" in text(browser, "#source") and texts(browser, ".side") == ["R", "L", "A", "P"]
    assert browser.run("document.querySelector('#index')") is None
    address = browser.run("document.querySelector('#picture').getAttribute('href')")
    assert address.startswith("/picture.png")
    loaded = "(async () => (await fetch(document.querySelector('#picture').getAttribute('href'))).status)().then((s) => window.got = s)"
    browser.run(loaded)
    wait_for(lambda: browser.run("window.got") == 200)


def test_slices_windows_and_zoom_have_keys(browser, server):
    name_reviewer(browser, server, "AB")
    open_pair(browser, server, "?plane=axial")
    at = browser.run("Number(document.querySelector('#index').value)")
    step, key = (1, "n") if at < 5 else (-1, "p")
    press(browser, key)
    assert text(browser, "#place") == f"slice {at + step + 1} of 6"
    assert browser.run("getComputedStyle(document.querySelector('#boxes')).display") == "none"
    if at + step:  # the first slice has no labels
        wait_for(lambda: browser.run("document.querySelector('#neighbour').childElementCount") == 1)
        assert (
            browser.run("document.querySelector('#neighbour path').getAttribute('d')")
            == "M5 8H25M5 28H25M5 8V28M25 8V28"
        )
    press(browser, "p" if key == "n" else "n")
    assert browser.run("getComputedStyle(document.querySelector('#boxes')).display") != "none"
    before = browser.run("document.querySelector('#picture').getAttribute('href')")
    press(browser, "w")
    assert browser.run("document.querySelector('#picture').getAttribute('href')") != before
    press(browser, "z")
    assert browser.run("document.querySelector('#slice').viewBox.baseVal.width") < 64
    press(browser, "z")
    assert browser.run("document.querySelector('#slice').viewBox.baseVal.width") == 64
    press(browser, "?")
    assert browser.run("document.querySelector('#help').open")
    browser.run("document.querySelector('#help').close()")


@pytest.mark.parametrize("metrics", [PHONE, DESKTOP], ids=["390", "1280"])
def test_pages_need_no_scrolling_to_the_side(browser, server, metrics):
    name_reviewer(browser, server, "AB")
    browser.call("Emulation.setDeviceMetricsOverride", **metrics)
    try:
        open_pair(browser, server, "?text=script")
        pair = browser.run("location.href")
        for page in ("/", "/?suspicion=any", "/left-out", "/summary", "/reviewer", pair.removeprefix(root_of(server))):
            visit(browser, root_of(server) + page)
            assert browser.run("document.documentElement.scrollWidth") <= metrics["width"], page
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")


def test_every_control_has_a_name(browser, server):
    name_reviewer(browser, server, "AB")
    open_pair(browser, server)
    browser.call("Accessibility.enable")
    for _ in range(2):
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
        roles = {
            "button",
            "link",
            "textbox",
            "searchbox",
            "combobox",
            "checkbox",
            "slider",
            "image",
            "dialog",
            "progressbar",
        }
        controls = [node for node in nodes if node.get("role", {}).get("value") in roles and not node.get("ignored")]
        assert controls and not [node for node in controls if not node.get("name", {}).get("value")]
        visit(browser, root_of(server))


def test_random_queue_goes_on_by_itself(browser, server, site):
    name_reviewer(browser, server, "QU")
    visit(browser, f"{root_of(server)}/queue")
    images = set()
    for number in range(3):
        assert f"you have judged {number};" in text(browser, "#progress")
        image = browser.run("JSON.parse(document.querySelector('#pair').dataset.key).image_id")
        images.add(image)
        wait_for(lambda: browser.run("document.readyState === 'complete'"))  # before, the page hears no keys
        press(browser, "a")
        wait_for(lambda last=number: f"you have judged {last + 1};" in (text(browser, "#progress") or ""))
    assert len(images) == 3
    assert [row[5] for row in verdicts_in(site) if row[0] == "QU"] == ["random"] * 3


def test_queue_waits_for_a_verdict_and_draws_captions(browser, server, site):
    name_reviewer(browser, server, "EF")
    visit(browser, f"{root_of(server)}/queue")
    press(browser, "j")
    assert text(browser, "#status").startswith("Give a verdict first") and "/pair" in browser.run("location.href")
    press(browser, "v")
    assert saved(browser, site, lambda: press(browser, "a"))[-2:] == ("question", "browse")


def test_what_left_is_listed_and_taken_back(browser, server, site):
    """The page shows what the last run left out; its verdict is undone by the key, of its reviewer alone."""
    row = next(iter(read_rows([next((site / "results" / "shards" / "data").rglob("train.parquet"))])))
    caption = row["captions"][0] | {"text": "Milz <b>groß</b>."}
    verdict = ReviewVerdict(
        reviewer="GH", delivery="demo", shard=0, patient=row["patient"], image_id=row["image_id"], item="caption",
        item_id=caption["caption"], verdict="reject", reason="wrong organ",
        digest=caption_digest(row["image_id"], caption),
    )  # fmt: skip
    with open_verdicts(site / "private" / "review" / "verdicts.sqlite") as store:
        store.add(verdict)
    left = leave_out(row | {"captions": [caption]}, [verdict]).left_out
    path = site / "results" / "review" / "demo" / "0" / "left_out.parquet"
    former = site / "results" / "review" / "former" / "0" / "left_out.parquet"
    for table in (path, former):
        write_table(table, frame_of(left, LeftOutTable), LeftOutTable, Fingerprint("shards", 1, {}, {}))
    try:
        with reviewing(site) as (address, _):
            visit(browser, address)
            wait_for(lambda: browser.run("document.body?.dataset.page") == "pairs")
            name_reviewer(browser, address, "IJ")
            visit(browser, f"{root_of(address)}/left-out?text=milz")
            assert text(browser, "#count") == "1 item" and text(browser, "article b") == "Milz <b>groß</b>."
            assert texts(browser, ".verdict") == ["GH: rejected (wrong organ)"]
            assert texts(browser, "article button") == []
            name_reviewer(browser, address, "GH")
            visit(browser, f"{root_of(address)}/left-out")
            press(browser, "j")
            row = saved(browser, site, lambda: press(browser, "u"))
            assert row[:2] == ("GH", "undo") and texts(browser, ".verdict") == []
            visit(browser, f"{root_of(address)}/left-out")
            assert "comes back at the next run" in text(browser, "article")
    finally:
        path.unlink()
        former.unlink()
        visit(browser, server)


def test_failing_write_is_said_on_the_page(browser, tmp_path):
    folder = write_review_site(tmp_path)
    with reviewing(folder, "--reviewer", "AB") as (address, process):
        visit(browser, address)
        wait_for(lambda: browser.run("document.body?.dataset.page") == "pairs")
        open_pair(browser, address)
        with sqlite3.connect(folder / "private" / "review" / "verdicts.sqlite") as database:
            database.execute("create trigger refuse before insert on verdicts begin select raise(abort, 'no'); end")
        database.close()
        press(browser, "a")
        wait_for(lambda: "Not saved" in text(browser, "#alert"))
        assert texts(browser, ".judged .verdict") == [] and not text(browser, "#status")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        press(browser, "a")
        wait_for(lambda: "does not answer" in text(browser, "#alert"))


def fetch(address, headers=None, data=None, method=None):
    """Status and headers of an answer, and what it says."""
    request = urllib.request.Request(address, data=data, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode(errors="replace")


def test_server_is_reached_from_this_machine_alone(server):
    port = int(root_of(server).rsplit(":", 1)[1])
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    lines = [line.split() for line in listening.splitlines() if f":{port:04X} " in line and " 0A " in line]
    assert [fields[1] for fields in lines] == [f"0100007F:{port:04X}"]


def test_slice_is_served_as_the_dataset_hangs_it(site):
    with reviewing(site, "--reviewer", "AB") as (address, _):
        port = root_of(address).rsplit(":", 1)[1]
        cookie = {"Cookie": f"refrad-review-{port}={address.split('token=')[1]}"}

        def picture(turn):
            query = f"of=demo&shard=0&volume=axial&index=2&window=lung&turn={turn}"
            request = urllib.request.Request(f"{root_of(address)}/slice.png?{query}", headers=cookie)
            with urllib.request.urlopen(request) as answer:
                return np.asarray(Image.open(io.BytesIO(answer.read())))

        stored = picture("none")
        assert (picture("rotate_180") == np.rot90(stored, 2)).all() and (stored != np.rot90(stored, 2)).any()
        assert (picture("transpose") == stored.T).all()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            picture("upside_down")


def test_nothing_is_logged_or_named_but_the_address(site):
    with reviewing(site, "--reviewer", "AB") as (address, process):
        token = address.split("token=")[1]
        port = root_of(address).rsplit(":", 1)[1]
        cookie = {"Cookie": f"refrad-review-{port}={token}"}
        assert fetch(f"{root_of(address)}/?text=secretword", cookie)[0] == 200
        assert fetch(f"{root_of(address)}/pair?image=secretword", cookie)[0] in (303, 404)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0
    assert out.count("\n") == 1 and "Review ended" in out
    assert token not in out + err and "secretword" not in out + err and "Traceback" not in err


def test_taken_port_is_left_for_the_next_one(site):
    with reviewing(site) as (first, _), reviewing(site) as (second, _):
        assert root_of(first) != root_of(second)
        port = root_of(first).rsplit(":", 1)[1]
        command = [sys.executable, "-m", "refrad", "review", "config.yaml", "--port", port]
        run = subprocess.run(command, cwd=site, capture_output=True, text=True, env=os.environ)
        assert run.returncode == 1 and run.stderr.splitlines()[-1].endswith("or none for the next free one")


def test_other_address_is_refused(site):
    command = [sys.executable, "-m", "refrad", "review", "config.yaml", "--address", "0.0.0.0"]
    run = subprocess.run(command, cwd=site, capture_output=True, text=True, env=os.environ)
    assert run.returncode == 2


def test_site_without_a_dataset_gets_one_line(site, tmp_path):
    (tmp_path / "config.yaml").write_text((site / "config.yaml").read_text())
    (tmp_path / "workflow").symlink_to((site / "workflow").resolve())
    command = [sys.executable, "-m", "refrad", "review", "config.yaml"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and "snakemake card" in run.stderr


def test_ipv6_loopback_serves_if_asked(site):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with reviewing(site, "--address", "::1") as (address, _):
        assert address.startswith("http://[::1]:") and fetch(address)[0] == 200
