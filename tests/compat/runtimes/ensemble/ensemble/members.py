from dataclasses import dataclass


@dataclass
class Member:
    name: str
    weight: int

    def vote(self, values):
        return [self.weight * value for value in values]


def read_members(path):
    with open(path) as lines:
        return [Member(name, int(weight)) for name, weight in map(str.split, lines)]
