"""Secrets in the options of a language model: refused in one line that does not show them."""

import json

import pytest
import yaml
from pydantic import ValidationError

from refrad.config import ConfigError, ModelOptions, check_config
from refrad.workflow.site import Site

ENDPOINT = "http://gpu07.example:8000/v1"


@pytest.fixture
def config(root, monkeypatch):
    """The function that makes a config with a model for captions.rewrite."""
    monkeypatch.chdir(root)
    values = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))

    def make(**model):
        models = values["llm"] | {"rewrite": {"endpoint": ENDPOINT, "model": "wise"} | model}
        return values | {"llm": models, "captions": values["captions"] | {"rewrite": "llm"}}

    return make


REFUSED = {  # the secret, and the options of the model that hold it
    "key": ("sk-made-up-4711-abcdefgh", {"key": "sk-made-up-4711-abcdefgh"}),
    "key, a JSON web token": ("eyJhbGci.madeup4711.xyz", {"key": "eyJhbGci.madeup4711.xyz"}),
    "key that could be a variable of Python": ("hf_madeup4711abc", {"key": "hf_madeup4711abc"}),
    "key of lower letters": ("geheimeswort", {"key": "geheimeswort"}),
    "key of digits, which YAML makes a number": ("4711081547110815", {"key": 4711081547110815}),
    "key of hexadecimal digits": ("A3F9B2C4D5E6F708", {"key": "A3F9B2C4D5E6F708"}),
    "key of capitals": ("QWERTZUIOPASDFGHJKLYXCVB", {"key": "QWERTZUIOPASDFGHJKLYXCVB"}),
    "key of Amazon": ("AKIA0SFODNN7MADEUP47", {"key": "AKIA0SFODNN7MADEUP47"}),
    "key as the name of the model": ("sk-made-up-4711", {"model": "sk-made-up-4711"}),
    "address of the model with a password": ("hush4711", {"model": "https://lotte:hush4711@hub.example/wise"}),
    "name of a field": ("sk-made-up-4711", {"extra": {"sk-made-up-4711": 1}}),
    "key with a space": ("MY KEY4711", {"key": "MY KEY4711"}),
    "key in a list": ("sk-made-up-4711", {"key": ["sk-made-up-4711"]}),
    "key under another name": ("sk-made-up-4711", {"api_key": "sk-made-up-4711"}),
    "reference to a variable": ("$SECRET4711", {"key": "$SECRET4711"}),
    "user and password": ("hush4711", {"endpoint": "http://lotte:hush4711@127.0.0.1:9/v1"}),
    "user alone": ("hush4711", {"endpoint": "https://hush4711@gpu07.example/v1"}),
    "password with a slash": ("hush/4711", {"endpoint": "https://lotte:hush/4711@gpu07.example/v1"}),
    "query of the endpoint": ("hush4711", {"endpoint": "https://gpu07.example/v1?code=hush4711"}),
    "fragment of the endpoint": ("hush4711", {"endpoint": "https://gpu07.example/v1#hush4711"}),
    "path of the endpoint": ("sk-made-up-4711", {"endpoint": "https://gpu07.example/sk-made-up-4711/v1"}),
    "endpoint without a scheme": ("hush4711", {"endpoint": "lotte:hush4711@gpu07.example/v1"}),
    "endpoint that is no address": ("hush4711", {"endpoint": "http://[hush4711/v1"}),
    "HF_TOKEN": ("hf_madeup4711abc", {"server": {"environment": {"HF_TOKEN": "hf_madeup4711abc"}}}),
    "variable of any name": ("hush4711", {"server": {"environment": {"MY_PASSWORT": "hush4711"}}}),
    "variable of lower letters": ("hush4711", {"server": {"environment": {"https_proxy": "hush4711"}}}),
    "setting that is a number": ("4711", {"server": {"environment": {"VLLM_API_KEY": 4711}}}),
    "key of vLLM": ("hush4711", {"server": {"environment": {"VLLM_API_KEY": "hush4711"}}}),
    "password in a setting": (
        "hush4711",
        {"server": {"environment": {"HF_ENDPOINT": "https://l:hush4711@hub.example"}}},
    ),
    "token in a setting": ("sk-made-up-4711", {"server": {"environment": {"VLLM_NO_SUCH": "sk-made-up-4711"}}}),
    "secret as a name": ("sk-made-up-4711", {"server": {"environment": {"sk-made-up-4711": "1"}}}),
    "argument": ("hush4711", {"server": {"arguments": ["--api-key", "hush4711"]}}),
    "argument with =": ("hush4711", {"server": {"arguments": ["--api_key=hush4711"]}}),
    "token among the arguments": ("hush4711", {"server": {"arguments": ["--hf-token", "hush4711"]}}),
    "bare argument": ("sk-made-up-4711", {"server": {"arguments": ["sk-made-up-4711"]}}),
    "field of the requests": ("hush4711", {"extra": {"api_key": "hush4711"}}),
    "header in the requests": ("hush4711", {"extra": {"headers": [{"Authorization": "hush4711"}]}}),
    "field of authentication": ("hush4711", {"extra": {"auth": "hush4711"}}),
    "header of any name": ("hush4711xyz", {"extra": {"headers": {"X-Auth": "Bearer hush4711xyz"}}}),
    "password in the requests": ("hush4711", {"extra": {"nested": {"userPassword": "hush4711"}}}),
}


@pytest.mark.parametrize(("secret", "model"), REFUSED.values(), ids=REFUSED)
def test_secret_is_refused_in_one_line_without_it(config, secret, model):
    with pytest.raises(ConfigError) as refused:
        check_config(config(**model))
    line = str(refused.value)
    assert line.startswith("config: llm.rewrite") and "\n" not in line
    assert secret not in line and len(line) < 250
    with pytest.raises(ValidationError) as refused:
        ModelOptions.model_validate({"endpoint": ENDPOINT, "model": "wise"} | model)
    assert secret not in str(refused.value), "as a stage reads its --llm"


TOKENS = [  # made up, in the forms of several services
    *("sk-proj-Ab12_cd34EF56gh78", "hf_AbCdEfGhIjKlMnOp", "ghp_16C7e42F292c6912E7710c", "github_pat_11ABCDEFG0abcdef"),
    *("glpat-ABCDEFGHIJKLMNOPQRST", "xoxb-123456789012-abcdef", "gsk_AbCdEf0123456789abcdef", "nvapi-abcdef123456"),
    *("AIzaSyA-1234567890abcdefghijk", "AKIA0SFODNN7MADEUP47", "ASIA0SFODNN7MADEUP47", "ya29.a0AfH6SMBxyz12345"),
    *("SG.abcdefghij.klmnopqrst", "key-3ab6f0fb29fd6fd54fc373af", "Bearer 0123456789abcdef", "Basic bWFkZTp1cA=="),
    *("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "bWFkZSB1cCBzZWNyZXQ0NzEx4712Mw="),
]


@pytest.mark.parametrize("token", TOKENS)
def test_token_of_any_service_is_refused_wherever_it_stands(config, token):
    for model in (
        *({"key": token}, {"model": token}, {"extra": {"x": [token]}}, {"extra": {token: 1}}),
        *({"server": {"arguments": [token]}}, {"server": {"environment": {"VLLM_X": token}}}),
        *({"endpoint": f"https://gpu07.example/{token}/v1"}, {"endpoint": f"https://gpu07.example/v1;key={token}"}),
    ):
        with pytest.raises(ConfigError) as refused:
            check_config(config(**model))
        assert token not in str(refused.value)


@pytest.mark.parametrize("token", TOKENS)
def test_secret_outside_of_a_model_is_not_shown_either(config, token):
    values = config()
    for wrong in (
        *({token: 1}, {"llm": values["llm"] | {token: None}}, {"captions": values["captions"] | {"translate": token}}),
        *({"privacy": values["privacy"] | {"key": token}}, {"index": values["index"] | {"burned_in": token}}),
    ):
        with pytest.raises(ConfigError) as refused:
            check_config(values | wrong)
        assert token not in str(refused.value)


@pytest.mark.parametrize("key", ["0f" * 32, "AB" * 16])
def test_bytes_of_the_key_are_no_name_of_its_file(config, key):
    values = config()
    with pytest.raises(ConfigError, match=r"privacy\.key: must be the name of a file") as refused:
        check_config(values | {"privacy": values["privacy"] | {"key": key}})
    assert key not in str(refused.value)


def test_long_wrong_values_are_not_shown(config):
    values = config()
    for value, is_shown in (("quarantined", True), ("no token " * 20, False)):
        with pytest.raises(ConfigError, match=r"index\.burned_in") as refused:
            check_config(values | {"index": values["index"] | {"burned_in": value}})
        assert (value in str(refused.value)) == is_shown


@pytest.mark.parametrize(
    "model", ["/models/Qwen3-VL-30B-A3B-Instruct-FP8", "hub/snapshots/" + "0f8fad5b" * 5, "org/sk-8b", "wise=1"]
)
def test_names_of_models_are_taken(config, model):
    assert check_config(config(model=model)).llm.rewrite.model == model


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        (
            {"key": "sk-x"},
            r"llm\.rewrite\.key: must be the name of an environment variable in capitals, such as LLM_KEY",
        ),
        (
            {"endpoint": "http://a:b@c/v1"},
            r"llm\.rewrite\.endpoint: must be an address without user and password; name",
        ),
        ({"server": {"environment": {"HF_TOKEN": "x"}}}, r"environment: takes no secret, but HF_TOKEN may be .* shell"),
        (
            {"server": {"environment": {"HTTPS_PROXY": "x"}}},
            r"environment: takes settings of vLLM.* and no HTTPS_PROXY;",
        ),
        ({"server": {"arguments": ["--api-key=x"]}}, r"server\.arguments: takes no secret, but --api-key may be one"),
        ({"extra": {"apiKey": "x"}}, r"llm\.rewrite\.extra: takes no secret, but apiKey may be one; name"),
    ],
)
def test_refusal_names_the_key_and_the_remedy(config, model, remedy):
    with pytest.raises(ConfigError, match=remedy):
        check_config(config(**model))


@pytest.mark.parametrize(
    "name", ["LLM_KEY", "OPENAI_API_KEY", "_KEY", "KEY2", "GPU07_KEY", "KEY_2", "S3KEY", "KLINIKUM_KI_SCHLUESSEL"]
)
def test_name_of_a_variable_is_taken_as_a_key(config, name):
    assert check_config(config(key=name)).llm.rewrite.key == name


SETTINGS = [
    *("VLLM_CPU_KVCACHE_SPACE", "CUDA_VISIBLE_DEVICES", "NCCL_DEBUG", "OMP_NUM_THREADS", "TORCH_LOGS", "HF_HOME"),
    *("TORCHINDUCTOR_CACHE_DIR", "PYTORCH_CUDA_ALLOC_CONF", "TRITON_CACHE_DIR", "TRANSFORMERS_CACHE"),
    *("TOKENIZERS_PARALLELISM", "ROCM_PATH", "HIP_VISIBLE_DEVICES", "RAY_TMPDIR"),
    *("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR"),
]


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_the_server_are_taken(config, name):
    settings = {name: "/scratch/7:1,expandable_segments:True"}
    assert check_config(config(server={"environment": settings})).llm.rewrite.server.environment == settings


def test_options_that_only_look_like_secrets_are_taken(config):
    arguments = [
        "--max-num-batched-tokens",
        "8192",
        "--long-prefill-token-threshold=9",
        "--ssl-keyfile",
        "/etc/key.pem",
    ]
    extra = {"prompt_cache_key": "refrad", "max_completion_tokens": 7, "stop_token": "</s>", "reasoning_effort": "low"}
    checked = check_config(config(extra=extra, server={"arguments": arguments})).llm.rewrite
    assert checked.extra == extra and checked.server.arguments == arguments


def test_key_of_a_model_is_in_no_command_line(config, monkeypatch):
    monkeypatch.setenv("LLM_KEY", "sk-made-up-4711")
    words = Site(config(key="LLM_KEY")).llm("captions")(["demo", "0"], {})
    assert "sk-made-up-4711" not in words
    settings = json.loads(words.removeprefix(" --llm ").strip("'"))
    assert settings["roles"]["rewrite"]["key"] == "LLM_KEY"
