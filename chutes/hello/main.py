"""The smallest useful chute: one procedure and one topic."""

from itertools import count

from paradrop import Chute

chute = Chute()
numbers = count(1)


@chute.register("greet")
def greet(name: str) -> str:
    """Called as ``hello.greet``."""
    print(f"greeting {name}")
    return f"Hello, {name}!"


@chute.every(1.0)
def tick() -> None:
    """Published as ``hello.ticks``: how many seconds this chute has been up."""
    chute.publish("ticks", next(numbers))


if __name__ == "__main__":
    print("hello is here")
    chute.run()
