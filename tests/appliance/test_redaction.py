"""redaction.output: secrets hidden in what an agent is shown, switched while agents are at work."""

from __future__ import annotations

from appliance.agent import Agent
from appliance.machine import Machine

# Nobody's, of a provider's shape; in parts, so that the arguments do not show it.
PARTS = "ghp_", "a1B2c3D4e5F6g7H8i9J0", "k1L2m3N4o5P6q7R8"
COMMAND = "t={}; t=${{t}}{}; t=${{t}}{}; ".format(*PARTS)


def test_output_is_redacted_where_the_operator_says_so(appliance: Machine) -> None:
    setting = "/etc/relay-shell/relay-shell.d/50-test.toml"
    with Agent(appliance) as agent:
        assert "".join(PARTS) in agent.sh(COMMAND + "echo $t")
        appliance.write(setting, '[redaction]\noutput = "on"\n')
        appliance.run("systemctl", "reload", "relay-shell.service")
        facts = agent.facts(
            "shell_exec", command=COMMAND + "echo $t; seq 99; echo $t", max_output=256
        )
        assert facts["redactions"] == {"github-pat": 2}
        page = agent.facts("output_read", output=facts["output"], line=1, count=200)
        assert page["redactions"] == {"github-pat": 2}
        session = agent.facts("shell_spawn", command=COMMAND + "echo $t done; sleep 60")["session"]
        read = agent.facts("session_recv", session=session, wait="done", timeout=20)
        screen = agent.facts("session_screen", session=session)
        for shown in (facts, page, read, screen):
            assert PARTS[1] not in str(shown) and PARTS[2] not in str(shown)
        assert read["redactions"] == screen["redactions"] == {"github-pat": 1}

        appliance.run("rm", setting)
        appliance.run("systemctl", "reload", "relay-shell.service")
        plain = agent.facts("shell_exec", command=COMMAND + "echo $t")
        assert plain["stdout"] == "".join(PARTS) + "\n" and "redactions" not in plain
