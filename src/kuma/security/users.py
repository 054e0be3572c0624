"""Who makes a request: a name and the groups it is in.

Names and groups that start with `mesh-system:` are the control plane's own.
"""

from dataclasses import dataclass

AUTHENTICATED_GROUP = "mesh-system:authenticated"
UNAUTHENTICATED_GROUP = "mesh-system:unauthenticated"
ADMIN_NAME = "mesh-system:admin"
ADMIN_GROUP = "mesh-system:admin"


@dataclass(frozen=True, slots=True)
class User:
    """One user; the order of groups is kept, because texts show it."""

    name: str
    groups: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}/{','.join(self.groups)}"

    def authenticated(self) -> "User":
        """The same user, also in the group of all who have shown valid credentials."""
        if AUTHENTICATED_GROUP in self.groups:
            return self
        return User(self.name, (*self.groups, AUTHENTICATED_GROUP))


ADMIN = User(ADMIN_NAME, (ADMIN_GROUP, AUTHENTICATED_GROUP))
"""Requests from the machine itself and those with an admin client certificate."""

ANONYMOUS = User("mesh-system:anonymous", (UNAUTHENTICATED_GROUP,))
"""Requests without credentials."""

CONTROL_PLANE = User("mesh-system:control-plane", ())
"""What the control plane does on its own behalf."""
