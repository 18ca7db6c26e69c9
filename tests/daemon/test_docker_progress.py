"""What a build tells."""

from __future__ import annotations

import json

from paradropd.engine.docker.images import step_limits
from paradropd.engine.docker.progress import Progress


def test_layers_that_were_there_before_the_build_are_not_its_own() -> None:
    said: list[str] = []
    progress = Progress(said.append)
    for text in (
        "Step 1/4 : FROM debian",
        "\n",
        " ---> 0123456789aa\n",
        "Step 2/4 : RUN one",
        "\n",
        " ---> Using cache\n",
        " ---> 0123456789bb\n",
        "Step 3/4 : COPY . .",
        "\n",
        " ---> 0123456789cc\n",
        "Step 4/4 : RUN two",
        "\n",
        " ---> Running in 0123456789ff\n",
        "Removing intermediate container 0123456789ff\n",
        " ---> 0123456789dd\n",
    ):
        progress.take({"stream": text})
    assert progress.layers == ["0123456789cc", "0123456789dd"]
    assert " ---> Using cache" in said


def test_a_step_may_not_use_the_whole_machine() -> None:
    limits = step_limits(4)
    assert limits["cpuquota"] == 3 * int(limits["cpuperiod"])
    assert limits["memory"] == limits["memswap"] == 1 << 30
    assert json.loads(str(limits["ulimits"])) == [{"Name": "nproc", "Soft": 4096, "Hard": 4096}]
