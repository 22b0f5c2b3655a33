"""Calls the local stack with UserSigs that Tencent's own generators made.

The generators are the ones that backends have, unmodified: Tencent's package for Python, and the one for
JavaScript where there is Node.js. Ours only say what they make; that both agree with us is the point.

    usersigs.py ADDRESS [DIRECTORY OF THE JAVASCRIPT PACKAGE]
"""

import json
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import TLSSigAPIv2

APP, KEY, ADMIN = 1400000000, "fanfare-local-secret-key", "administrator"
DAY = 86_400

JAVASCRIPT = """
const { Api } = require(process.argv[1]);
const api = new Api(%d, %s);
const user = process.argv[2];
console.log(JSON.stringify([api.genUserSig(user, 86400), api.genPrivateMapKey(user, 86400, 10000, 255),
    api.genPrivateMapKeyWithStringRoomID(user, 86400, "room", 255)]));
"""


def by_python(user):
    api = TLSSigAPIv2.TLSSigAPIv2(APP, KEY)
    return [api.gen_sig(user, DAY), api.gen_sig_with_userbuf(user, DAY, b"abc")]


def by_javascript(package):
    script = JAVASCRIPT % (APP, json.dumps(KEY))

    def generate(user):
        return json.loads(subprocess.check_output(["node", "-e", script, package, user]))

    return generate


def backend(address, user_sig):
    """A call of an administrator: its error code."""
    query = urllib.parse.urlencode({"sdkappid": APP, "identifier": ADMIN, "usersig": user_sig, "random": 1, "contenttype": "json"})
    url = f"{address}/v4/im_open_login_svc/account_check?{query}"
    with urllib.request.urlopen(url, data=b'{"CheckItem":[{"UserID":"alice"}]}') as answer:
        return json.load(answer)["ErrorCode"]


def client(address, user_sig):
    """A call of a client app: its status."""
    request = urllib.request.Request(f"{address}/v1/devices", headers={"Authorization": f"Bearer {user_sig}"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def expect(what, found, wanted):
    print(f"{what}: {found}")
    if found != wanted:
        sys.exit(f"{what}: {found}, not {wanted}")


def main(address, package=None):
    generators = {"Python": by_python}
    if package:
        generators["JavaScript"] = by_javascript(package)
    for language, generate in generators.items():
        for number, user_sig in enumerate(generate(ADMIN)):
            expect(f"{language} {number}, the administrator", backend(address, user_sig), 0)
        for number, user_sig in enumerate(generate("alice")):
            expect(f"{language} {number}, a client app", client(address, user_sig), 200)
            expect(f"{language} {number}, of another user", backend(address, user_sig), 70013)


main(*sys.argv[1:])
