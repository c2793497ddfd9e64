"""The panel's parts: what they say to eyes, to screen readers, and to somebody who helps."""

import time
from dataclasses import asdict, replace

import pytest

from launcher.core.problem import Problem
from launcher.core.status import LoginBox, Snapshot, Status
from launcher.ui.render import (
    NOTICES_SHOWN,
    are_steps_open,
    foot_html,
    given_back_html,
    job_html,
    login_box_html,
    parts_of,
    report,
    sentence_html,
    steps_line,
    told_html,
    without_private_parts,
)

PASSWORD = "Zt7kQ2mLx9vRb4Nc8pWd3s"


def a_launch_that_failed() -> Status:
    status = Status("Starting your image generator")
    status.add("drive", "Google Drive")
    status.add("model", "Checkpoint")
    status.fact("AUTOMATIC1111", "v1.10.1")
    status.fact("Machine", "Google Colab, Tesla T4, 16 GB, 13 GB of RAM")
    status.step("drive").begin()
    status.step("drive").done("My Drive/jane-doe/stable-diffusion-webui, 3 settings files restored")
    status.step("model").begin()
    status.step("model").fail(Problem("https://civitai.com/x?token=secret needs a key.", "Ask jane.doe@example.org."))
    status.notice("Look at /content/drive/MyDrive/jane-doe/oneclick.log, not at hf_abcDEF123456789012345678901234.")
    status.show(login_box=LoginBox("https://abc.gradio.live", "me", PASSWORD, "My Drive/jane-doe/outputs", 134.0))
    return status


def test_a_report_says_what_happened_and_names_nobody() -> None:
    text = report(a_launch_that_failed().now)
    for told in ("AUTOMATIC1111: v1.10.1", "Tesla T4", "Google Drive: done", "3 settings files restored",
                 "Checkpoint: failed", "needs a key", "What to do: Ask", "Ready after: 2 min 14 s"):  # fmt: skip
        assert told in text
    for private in ("jane", "http", "secret", "hf_", PASSWORD, "gradio.live", "/content", "example.org"):
        assert private not in text


@pytest.mark.parametrize(
    "harmless",
    ["done (4 s)", "12/20 images", "version 82a973c0", "Runtime → Change runtime type", "and/or", "v1.10.1",
     "The file sd_xl_base_1.0.safetensors", "Free on Google Drive: 11.3 GB"],
)  # fmt: skip
def test_what_names_nobody_stays_in_a_report(harmless: str) -> None:
    assert without_private_parts(harmless) == harmless


def test_what_is_sent_each_second_is_small() -> None:
    status = a_launch_that_failed().now
    then, now = parts_of(status, 0), parts_of(status, 1)
    assert 0 < sum(len(now[name]) for name in now if now[name] != then[name]) < 2000


def test_a_screen_reader_hears_of_steps_and_not_of_bytes() -> None:
    status = Status("Starting")
    status.add("model", "Checkpoint")
    status.step("model").begin()
    before = parts_of(status.now, 0)["live"]
    status.step("model").progress(5, 10)
    status.step("model").say("from Hugging Face")
    assert parts_of(status.now, 0)["live"] == before
    status.step("model").done()
    assert "1 of 1 steps done" in parts_of(status.now, 0)["live"] != before


def test_messages_do_not_pile_up() -> None:
    status = Status("Starting")
    for number in range(NOTICES_SHOWN):
        status.notice(f"message {number}.")
    assert "<details>" not in told_html(status.now)
    status.notice("the newest.")
    folded, _, shown = told_html(status.now).partition("</details>")
    assert "1 earlier message<" in folded
    assert "message 0." in folded
    assert "message 0." not in shown
    assert shown.index("message 1.") < shown.index("the newest.")


def test_the_foot_says_what_runs_and_stays_as_it_is_while_bytes_come() -> None:
    status = a_launch_that_failed()
    foot = foot_html(status.now, False)
    assert "AUTOMATIC1111: v1.10.1" in foot
    assert "Copy a report" in foot
    status.step("model").progress(5, 10)
    assert foot_html(status.now, False) == foot
    assert "hidden" in parts_of(status.now, 0)["report"]


def test_facts_come_through_the_socket() -> None:
    status = a_launch_that_failed().now
    assert Snapshot.from_json(asdict(status) | {"facts": [list(fact) for fact in status.facts]}) == status


def test_the_steps_are_one_line_that_is_open_while_something_runs_or_failed() -> None:
    status = Status("Starting")
    status.add("model", "Checkpoint")
    status.add("webui", "Web UI")
    assert not are_steps_open(status.now)
    status.step("model").begin()
    assert are_steps_open(status.now)
    assert steps_line(status.now) == "0 of 2 steps done · at work: Checkpoint"
    status.step("model").done()
    status.step("webui").done()
    assert not are_steps_open(status.now)
    assert steps_line(status.now) == "2 of 2 steps done"
    status.step("webui").fail(Problem("It broke.", "Restart it."))
    assert are_steps_open(status.now)


def test_every_part_reads_from_left_to_right_whatever_the_page_around_it() -> None:
    now = a_launch_that_failed().now
    parts = [text for name, text in parts_of(now, 0).items() if name not in ("report", "style")]
    for part in (*parts, login_box_html(None, ""), job_html(1, now, 0)):
        assert '<div dir="ltr" class="oneclick ' in part


def test_the_login_box_leads_to_the_page_for_the_phone() -> None:
    shown = login_box_html(a_launch_that_failed().now.login_box, "https://abc.gradio.live/oneclick/enter/x")
    assert 'href="https://abc.gradio.live/oneclick/"' in shown


def test_an_address_in_a_sentence_is_a_link_and_nothing_in_it_is_markup() -> None:
    shown = sentence_html('See https://huggingface.co/x?a=1&b="<b>. Then **go on**.')
    assert 'href="https://huggingface.co/x?a=1&amp;b=&quot;&lt;b&gt;"' in shown
    assert "<b>go on</b>" in shown
    assert sentence_html("no javascript:alert(1) http://x") == "no javascript:alert(1) http://x"


def test_a_link_of_this_machine_is_said_to_open_here_only() -> None:
    box = LoginBox("http://127.0.0.1:5", "me", "x", "outputs", 1.0)
    for here_only in (True, False):
        shown = login_box_html(replace(box, here_only=here_only), "")
        assert ("opens only on the computer that runs the notebook" in shown) == here_only
        assert ("for your phone</a>" in shown) != here_only


def test_when_the_machine_is_given_back_is_said_where_it_is() -> None:
    assert "given back" not in given_back_html(Snapshot("Ready"))
    said = given_back_html(Snapshot("Ready", given_back_at=1e9))
    assert "The machine is given back at " in said
    assert f" {time.strftime('%Z', time.localtime(1e9))} if nobody" in said, "Colab's clock is not the person's"
