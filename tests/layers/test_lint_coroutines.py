"""The coroutine rules find what they forbid, and leave alone what is allowed."""

import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

FORBIDDEN = {
    "structured binding": "Task<void> f() { auto [a, b] = co_await g(); }",
    "condition of if": "Task<void> f() { if (co_await g()) h(); }",
    "condition of while": "Task<void> f() { while (co_await g()) {} }",
    "conditional operator": "Task<void> f() { auto x = ok ? co_await g() : 3; }",
    "and": "Task<void> f() { const bool x = ok && co_await g(); }",
    "or": "Task<void> f() { const bool x = co_await g() || ok; }",
    "string temporary": 'Task<void> f() { co_await g(std::string("x")); }',
    "concatenation": 'Task<void> f() { co_await g("a" + name); }',
    "concatenation at the end": 'Task<void> f() { co_await g(name + "a"); }',
    "to_string temporary": "Task<void> f() { co_await g(address.to_string()); }",
    "capturing lambda": "void f() { co_spawn(io, [this]() -> Task<void> { co_await g(); }, detached); }",
    "rvalue reference parameter": "Task<void> f(std::string&& text) { co_return; }",
}
ALLOWED = {
    "plain": "Task<void> f() { const auto x = co_await g(stream, deadline); }",
    "returning": "Task<int> f() { co_return co_await g(); }",
    "moved argument": "Task<void> f(std::string name) { auto r = co_await g(std::move(name)); }",
    "comment": "// co_await inside a && b\nvoid f() {}",
    "literal": 'const char* text = "if (co_await x)";',
    "capturing lambda that does not await": "void f() { post(io, [this] { g(); }); }",
    "lambda without captures": "Task<void> f() { auto t = [](int x) -> Task<void> { co_return; }; co_await t(1); }",
    "condition after the await": "Task<void> f() { const bool ok = co_await g(); if (ok && more) h(); }",
    "subscript": "Task<void> f() { values[i] = co_await g(); }",
}


def lint(tmp_path, text):
    file = tmp_path / "sample.cc"
    file.write_text(text + "\n")
    ran = subprocess.run([ROOT / "tools" / "lint-coroutines", file], capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout


@pytest.mark.parametrize("name", FORBIDDEN)
def test_finds(tmp_path, name):
    code, output = lint(tmp_path, FORBIDDEN[name])
    assert code == 1 and "sample.cc:1: " in output, output


@pytest.mark.parametrize("name", ALLOWED)
def test_leaves_alone(tmp_path, name):
    code, output = lint(tmp_path, ALLOWED[name])
    assert code == 0, output
