import json

import pytest

from harness.endpoints.endpoint import problem

KEY = "sk-planted-0123456789abcdef"


def error_message(body: object, key: str) -> str:
    return problem(400, body, key).message


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "not so", "type": "invalid_request_error"}},
        {"error": "not so"},
        {"error": None, "message": "not so"},
        {"object": "error", "message": "not so", "code": 400},
        {"message": "not so"},
        {"detail": "not so"},
        "not so",
    ],
)
def test_the_message_is_found_wherever_a_server_puts_it(body):
    assert error_message(body, KEY) == error_message(json.dumps(body), KEY) == "not so"


def test_without_a_message_the_whole_body_is_shown():
    assert error_message('{"detail": [{"loc": ["body", "model"]}]}', KEY) == '[{"loc": ["body", "model"]}]'
    assert error_message("<html>\n  Bad Gateway\n</html>", KEY) == "Bad Gateway"


@pytest.mark.parametrize("body", ["", " \n", "{}", "null", {}, None])
def test_a_server_that_says_nothing_gives_no_reason(body):
    assert error_message(body, KEY) == "no reason given"


def test_what_is_shown_is_one_short_line_without_the_key_that_any_file_can_hold():
    shown = error_message({"error": {"message": f"{KEY} \ud83d\nand {'so on ' * 100}"}}, KEY)
    assert shown.startswith("[OPENAI_API_KEY] ? and so on") and len(shown) <= 301
    shown.encode()
