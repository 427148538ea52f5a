"""Lists and watches a plugin's resource with the Python client, and begins again where a watch has expired."""

import sys

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

GROUP, VERSION, PLURAL = "tickets.example.com", "v1", "tickets"
NAMESPACE = sys.argv[1]
# More superseded bytes than the server keeps for watches to resume.
LARGE, REWRITES = "x" * (11 << 18), 26


def ticket(name, seats):
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Ticket",
        "metadata": {"name": name},
        "spec": {"seats": seats},
    }


class Tickets:
    def __init__(self):
        self.api = client.CustomObjectsApi()
        self.of = (GROUP, VERSION, NAMESPACE, PLURAL)

    def create(self, name, seats):
        return self.api.create_namespaced_custom_object(*self.of, ticket(name, seats))

    def patch(self, name, spec):
        return self.api.patch_namespaced_custom_object(*self.of, name, {"spec": spec})

    def delete(self, name):
        return self.api.delete_namespaced_custom_object(*self.of, name)

    def list(self, **options):
        return self.api.list_namespaced_custom_object(*self.of, **options)

    def watch(self, version, until):
        """The events after a version up to the one that is the last."""
        seen = []
        watcher = watch.Watch()
        for event in watcher.stream(
            self.api.list_namespaced_custom_object, *self.of, resource_version=version, _request_timeout=60
        ):
            seen.append((event["type"], event["object"]["metadata"]["name"]))
            if seen[-1] == until:
                watcher.stop()
        return seen


def check(found, wanted):
    if found != wanted:
        sys.exit(f"found {found}, not {wanted}")


def main():
    config.load_kube_config()
    tickets = Tickets()
    for number in range(5):
        tickets.create(f"ticket-{number}", number + 1)
    listed = tickets.list()
    begin = listed["metadata"]["resourceVersion"]
    check([it["spec"]["seats"] for it in listed["items"]], [1, 2, 3, 4, 5])

    names, token = [], None
    while token != "":
        page = tickets.list(limit=2, **({"_continue": token} if token else {}))
        names += [it["metadata"]["name"] for it in page["items"]]
        token = page["metadata"].get("continue", "")
    check(names, [f"ticket-{number}" for number in range(5)])

    tickets.patch("ticket-0", {"seats": 10})
    tickets.delete("ticket-1")
    tickets.create("ticket-5", 6)
    wanted = [("MODIFIED", "ticket-0"), ("DELETED", "ticket-1"), ("ADDED", "ticket-5")]
    check(tickets.watch(begin, wanted[-1]), wanted)

    for number in range(REWRITES):
        tickets.patch("ticket-0", {"note": str(number) + LARGE})
    try:
        seen = tickets.watch(begin, ("MODIFIED", "ticket-0"))
        sys.exit(f"a watch from an expired version saw {seen}")
    except ApiException as error:
        check(error.status, 410)
    tickets.patch("ticket-0", {"note": ""})
    again = tickets.list()["metadata"]["resourceVersion"]
    tickets.delete("ticket-2")
    check(tickets.watch(again, ("DELETED", "ticket-2")), [("DELETED", "ticket-2")])


main()
