"""Calls the local stack with RongCloud's own SDKs, of which nothing is changed but the host.

They are the ones that backends have: the SDK for Python, and the one for Node.js where there is Node.js. Each makes every call
that it has of ours, must say that it succeeded, and must say what was wrong where something is. What the SDKs report is
checked in their own words.

    sdks.py ADDRESS [DIRECTORY OF THE PACKAGE FOR NODE.JS]
"""

import json
import subprocess
import sys
import time
import urllib.request

from rongcloud.rongcloud import RongCloud

# The apps of sdks.json: one may call as often as it likes, the other may do next to nothing.
ANY, NONE = ("any-key", "any-secret"), ("none-key", "none-secret")
TEXT = "RC:TxtMsg"
PORTRAIT = "https://example.com/a.png?x=1"


class Python:
    """The SDK for Python. It answers an error as the bytes of the body."""

    signature, too_often = 1004, 1008

    def __init__(self, address):
        self.address = address

    def sign(self, app):
        self.sdk = RongCloud(*app, self.address)

    def register(self, user):
        return self.said(self.sdk.get_user().register(user, "Alice B", PORTRAIT))

    def set_tags(self, users, tags):
        return self.said(self.sdk.get_user().get_tag().set(users, tags))

    def clear_tags(self, user):
        return self.set_tags([user], [])

    def get_tags(self, users):
        answer = self.said(self.sdk.get_user().get_tag().get(users))
        return answer, answer.get("result")

    def push(self, platforms, tags, text):
        return self.said(self.sdk.get_push().push(
            platforms, tags, None, None, None, False, text, "Title", None, {"id": "1"}, 0, 1, None, None, None, {"id": "2"}))

    def message(self, platforms, tags, content, text):
        return self.said(self.sdk.get_push().broadcast(
            platforms, "sender", tags, None, None, False, content, TEXT, text, None, {"id": "1"}, 0, None, {"id": "2"}))

    def broadcast(self, kind, content, text=None):
        return self.said(self.sdk.get_message().broadcast("sender", kind, content, text))

    @staticmethod
    def said(answer):
        return json.loads(answer) if isinstance(answer, bytes) else answer


class Node:
    """The SDK for Node.js, in one process: it signs once and sends that for as long as it lives. It answers some errors with numbers of its own."""

    signature, too_often = "20000", "20001"

    CALL = """
    const make = require(process.argv[1]);
    require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const { options, path, argument } = JSON.parse(line);
      const [owner, name] = path.split(/[.](?=[^.]*$)/);
      const found = owner.split('.').reduce((at, member) => at[member], make(options));
      found[name](argument).catch((error) => ({ rejected: error })).then((answer) => console.log(JSON.stringify(answer)));
    });
    """

    def __init__(self, address, package):
        self.address = address
        self.process = subprocess.Popen(
            ["node", "-e", self.CALL, package], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def sign(self, app):
        self.options = {"appkey": app[0], "secret": app[1], "api": self.address}

    def call(self, path, argument):
        print(json.dumps({"options": self.options, "path": path, "argument": argument}), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def register(self, user):
        return self.call("User.register", {"id": user, "name": "Alice B", "portrait": PORTRAIT})

    def set_tags(self, users, tags):
        if len(users) == 1:
            return self.call("User.Tag.set", {"id": users[0], "tags": tags})
        return self.call("User.Tag.batchSet", {"users": [{"id": user} for user in users], "tags": tags})

    def clear_tags(self, user):
        return self.call("User.Tag.remove", {"id": user})

    def get_tags(self, users):
        answer = self.call("User.Tag.getList", [{"id": user} for user in users])
        return answer, answer.get("tags")

    def push(self, platforms, tags, text):
        notification = {"title": "Title", "alert": text, "ios": {"extras": {"id": "1"}}, "android": {"extras": {"id": "2"}}}
        return self.call("Push.push", {"platform": platforms, "audience": {"tag": tags, "is_to_all": False}, "notification": notification})

    def message(self, platforms, tags, content, text):
        message = {"objectName": TEXT, "content": json.dumps(content)}
        return self.call("Push.message", {
            "platform": platforms, "fromUserId": "sender", "audience": {"tag": tags, "is_to_all": False}, "message": message,
            "notification": {"alert": text}})

    def broadcast(self, kind, content, text=None):
        pushed = {"pushContent": text, "pushExt": json.dumps({"title": "Title"})} if text else {}
        return self.call("Message.System.broadcast", {"senderId": "sender", "objectName": kind, "content": content, **pushed})


def succeeds(sdk, name, address):
    """Every call, of an app that may make them all; and what it was for happens."""
    sdk.sign(ANY)
    user, other, tag = f"{name} 1", f"{name} 2", f"{name} 男"
    answer = done(sdk.register(user))
    expect("the user of the token", answer["userId"], user)
    register_device(address, answer["token"], f"{name}-phone-of-a-user")

    done(sdk.set_tags([user], ["replaced"]))
    done(sdk.set_tags([user, other], [tag, "b"]))
    done(sdk.clear_tags(other))
    answer, tags = sdk.get_tags([user, other])
    done(answer)
    expect("tags", {who: sorted(has) for who, has in tags.items()}, {user: sorted([tag, "b"]), other: []})

    push = done(sdk.push(["ios", "android"], [tag, "b"], f"{name} pushes"))
    expect("a push once more", done(sdk.push(["ios", "android"], [tag, "b"], f"{name} pushes"))["id"], push["id"])
    message = done(sdk.message(["ios", "android"], [tag], {"content": "a b & c"}, f"{name} writes"))
    expect("ids that differ", len({push["id"], message["id"], message["messageUID"]}), 2)
    sent = done(sdk.broadcast(TEXT, {"content": "a b"}, f"{name} broadcasts"))
    for text in ["pushes", "writes", "broadcasts"]:
        wait_for(address, f"{name}-phone-of-a-user", f"{name} {text}")
    recall = {"messageUId": sent["messageUID"], "conversationType": 6, "isAdmin": 0, "isDelete": 0}
    done(sdk.broadcast("RC:RcCmd", recall))


def fails(sdk):
    """What is wrong is told, by the number that the SDK makes of it."""
    sdk.sign((ANY[0], "wrong"))
    expect("a wrong secret", sdk.push(["ios"], ["a"], "hi")["code"], sdk.signature)
    expect("a wrong secret, by a form", sdk.register("u")["code"], sdk.signature)
    sdk.sign(("no-key", ANY[1]))
    expect("an unknown app", sdk.push(["ios"], ["a"], "hi")["code"], 1002)
    sdk.sign(ANY)
    answer = sdk.push(["symbian"], ["a"], "hi")
    expect("a bad parameter", (answer["code"], "platform[0]" in answer.get("errorMessage", answer.get("msg"))), (1002, True))
    expect("a long tag", sdk.set_tags(["u"], ["x" * 41])["code"], 1005)
    expect("no content of the kind", sdk.broadcast(TEXT, ["none"])["code"], 1002)
    sdk.sign(NONE)
    expect("calls too frequent", sdk.push(["ios"], ["a"], "hi")["code"], sdk.too_often)
    expect("a service that is off", sdk.broadcast(TEXT, {"content": "a"})["code"], 1009)


def register_device(address, token, vendor_token):
    body = json.dumps({"platform": "android", "channel": "fcm", "token": vendor_token}).encode()
    request = urllib.request.Request(
        f"{address}/v1/devices/phone", body, {"Authorization": f"Bearer {token}"}, method="PUT")
    with urllib.request.urlopen(request) as answer:
        expect("a device registered with the token", answer.status, 200)


def wait_for(address, vendor_token, text):
    """Until the vendor was sent a text for a device."""
    for _ in range(150):
        with urllib.request.urlopen(f"{address}/_local/deliveries?channel=fcm") as answer:
            sent = [delivery for delivery in json.load(answer) if delivery["token"] == vendor_token]
        if any(text in json.dumps(delivery) for delivery in sent):
            print(f"delivered: {text}")
            return
        time.sleep(0.2)
    sys.exit(f"not delivered: {text}")


def done(answer):
    if answer.get("code") != 200:
        sys.exit(f"not done: {answer}")
    return answer


def expect(what, found, wanted):
    print(f"{what}: {found}")
    if found != wanted:
        sys.exit(f"{what}: {found}, not {wanted}")


def main(address, package=None):
    sdks = {"python": Python(address)}
    if package:
        sdks["node"] = Node(address, package)
    for name, sdk in sdks.items():
        print(f"The SDK for {type(sdk).__name__}")
        succeeds(sdk, name, address)
        fails(sdk)


main(*sys.argv[1:])
