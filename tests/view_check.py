#!/usr/bin/python3
"""What e3-view must do, seen from a client: view_check.py WHAT URL [ARGUMENT]...  Prints nothing where all is well."""
import os
import socket
import sys
import time

from view_client import Client, connect, get, read_head, request, summary, take

SECONDS = 300


def of(records, type_, run=0):
    return [r for r in records if r.type == type_ and r.run == run]


def pieces(records, run=0):
    """Points by frame: [come, of so many]. A frame that shows only what others showed before has none."""
    have = {}
    for r in of(records, 'chunk', run):
        count, offset, total = r.points()
        assert offset == have.get(r.n, [0])[0], 'frame %d: points from %d on, expected %s' % (r.n, offset, have.get(r.n))
        assert count and offset + count <= total
        have[r.n] = [offset + count, total]
    return have


def whole(records, n, run=0):
    """All frames of the run, and all points of those that have begun to come."""
    have = pieces(records, run)
    return len(of(records, 'frame', run)) == n and have and all(a == b for a, b in have.values())


def records(url, frames):
    """All of a run: hello first, frames in order and once, all points, the pictures of the newest."""
    n = int(frames)
    got = take(url, SECONDS, until=lambda g: whole(g, n) and of(g, 'kept') and of(g, 'status'))
    assert got[0].type == 'hello' and got[0].json()['protocol'] == 1
    assert [r.seq for r in got] == list(range(1, len(got) + 1))
    assert [r.n for r in of(got, 'frame')] == list(range(n))
    for name in ('picture', 'depth', 'confidence', 'kept'):
        assert [r.n for r in of(got, name)][-1] == n - 1, name
    seen = -1
    for r in got:
        seen = r.n if r.type == 'frame' else seen
        assert r.type not in ('picture', 'depth', 'confidence', 'kept', 'chunk') or r.n <= seen, '%s of a frame that is not known' % r.type
    s = of(got, 'status')[-1].json()
    assert s['clients'] == 1 and abs(s['clock'] - time.time()) < 60 and s['cache'] > 0 and s['budget'] > 0, s


def state(url, want, reason=''):
    """The newest status, once it says so."""
    got = take(url, SECONDS, until=lambda g: g[-1].type == 'status' and g[-1].json()['state'] == want)
    s = of(got, 'status')[-1].json()
    assert s['state'] == want and reason in s['reason'], s


def wanted(url, frames):
    """The frame that is looked at comes first, again when the client has forgotten it; a limit is kept."""
    n, at = int(frames), 1
    with Client(url) as c:
        c.say({'want': {'run': 0, 'at': at, 'from': 0, 'to': 2}, 'limit': {'points': 0}, 'ping': 12.5})
        got = []

        def until(done):
            while not done():
                r = c.next()
                assert r, c.closed
                got.append(r)
                c.say({'ack': r.seq})
        until(lambda: [r for r in of(got, 'picture') if r.n == at] and [r for r in of(got, 'kept') if r.n <= at] and len(of(got, 'frame')) == n)
        until(lambda: any('pong' in r.json() for r in of(got, 'status')))
        assert [r.json()['pong'] for r in of(got, 'status') if 'pong' in r.json()] == [12.5]
        # of another frame that is shown beside it the same, of small ones only pictures; those that there are not do no harm
        c.say({'want': {'run': 0, 'at': at, 'look': 3, 'also': [2, 99, -1, 'x', None, 1e300]}})
        until(lambda: all(any(r.n == k for r in of(got, name)) for name, k in (('depth', 3), ('confidence', 3), ('picture', 2))))
        assert not [r for r in of(got, 'depth') if r.n == 2] or 2 == n - 1
        before = len(of(got, 'picture'))
        c.say({'want': {'run': 0, 'at': at, 'from': at, 'to': at, 'again': True}})
        until(lambda: len(of(got, 'picture')) > before and of(got, 'picture')[-1].n == at)
        assert not of(got, 'chunk'), 'points, though none are wanted'
        c.say({'limit': {'points': 1024 * n}})
        until(lambda: of(got, 'chunk'))
        c.say({'ping': 1})
        until(lambda: of(got, 'status')[-1].json().get('pong') == 1)
        assert all(r.points()[:2] == (min(1024, r.points()[2]), 0) for r in of(got, 'chunk'))


def window(url):
    """What is not acknowledged is bounded, whatever there is; then the rest comes."""
    with Client(url) as c:
        size, last = 0, None
        c.s.settimeout(2.5)  # (a status comes each second while there is room)
        try:
            while size < 2 << 20:
                last = c.next()
                size += len(last.bytes)
        except (TimeoutError, socket.timeout):
            pass
        assert 0 < size < 1 << 20, size
        c.s.settimeout(SECONDS)
        c.say({'ack': last.seq})
        assert c.next().seq == last.seq + 1


def token(url, right):
    """url has no token."""
    ok = url + '?token=' + right
    for wrong in ('', '?token=', '?token=' + right[:-1], '?token=' + right[:-1] + '!', '?token=' + right + 'x', '?Token=' + right):
        status, _, body = get(url + wrong)
        assert status == 403 and b'token' in body and right.encode() not in body, (wrong, status, body)
        try:
            Client(url, path='/ws' + wrong)
            raise AssertionError('let in with ' + wrong)
        except Client.Refused as e:
            assert str(e).startswith('403 '), e
    assert get(ok)[0] == 200
    assert get(ok, Host='scan.example.org', Origin='https://scan.example.org')[0] == 200, 'behind a server that encrypts'
    assert take(ok, SECONDS, until=len)[0].type == 'hello'
    for open_ in ('/style.css', '/page.js'):
        assert get(url, open_)[0] == 200
    try:
        Client(ok, Origin='http://elsewhere')
        raise AssertionError('another site got in with the token')
    except Client.Refused:
        pass


def sites(url):
    """Who may ask, without a token."""
    port = url.rsplit(':', 1)[1].strip('/')
    fine = [dict(), dict(Host='localhost:' + port), dict(Host='LOCALHOST'), dict(Host='127.0.0.1:9'), dict(Host='[::1]:' + port), dict(Host='a.localhost'),
            dict(Host='localhost:1', Origin='http://localhost:1'), dict(Host='localhost:1', Origin='https://LocalHost:1')]
    bad = [dict(Host='evil.example'), dict(Host='evil.example', Origin='http://evil.example'), dict(Host=None), dict(Host=''), dict(Host='localhost.evil.example'),
           dict(Host='127.0.0.1.evil.example'), dict(Host='localhost:1', Origin='http://localhost:2'), dict(Host='localhost', Origin='null'),
           dict(Host='localhost', Origin='file://'), dict(Host='localhost:x'), dict(Host='[::1'), dict(Host='localhost', Origin='http://localhost.evil.example'),
           dict(Host='localhost', Origin='http://' + 'a' * 2000), dict(Host='evil.example@localhost')]
    for headers in fine:
        assert get(url, **headers)[0] == 200, headers
        Client(url, **headers).s.close()
    for headers in bad:
        assert get(url, **headers)[0] in (0, 403), headers
        try:
            Client(url, **headers)
            raise AssertionError('let in: %s' % headers)
        except Client.Refused as e:
            assert str(e)[:1] in '04', e


def pages(url):
    """The files, the headers of every answer, and what is not there."""
    for path, type_ in (('/', 'text/html'), ('/index.html', 'text/html'), ('/style.css', 'text/css'), ('/page.js', 'text/javascript')):
        status, head, body = get(url, path)
        assert status == 200 and head['content-type'].startswith(type_) and len(body) == int(head['content-length']) > 0, (path, status, head)
        assert get(url, path, method='HEAD')[2] == b''
        policy = head['content-security-policy'].split('; ')
        for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"):
            assert rule in policy, policy
        assert head['referrer-policy'] == 'no-referrer' and head['x-content-type-options'] == 'nosniff', head
    for path in ('/x', '/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/page.js/', '/order', '/ws', '/' + 'a' * 1000):
        status, head, body = get(url, path)
        assert status in (403, 404) and (status == 403 or 'content-security-policy' in head), (path, status, head)
    for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'CONNECT', 'TRACE', 'BREW'):
        assert get(url, method=method)[0] in (0, 400, 403, 405), method
    # two on one connection
    with connect(url) as s:
        for _ in range(2):
            s.sendall(request(url, '/style.css'))
            status, head, body = read_head(s)
            while len(body) < int(head['content-length']):
                body += s.recv(65536)
            assert status == 200


def closes(c, code=None):
    """The server ends the connection."""
    c.s.settimeout(SECONDS)
    while c.next():
        pass
    assert code is None or c.closed[0] == code, c.closed


def malformed(url):
    """What is no message ends this client, and nobody else."""
    def bad(code, *frames, **more):
        with Client(url) as c:
            try:
                for f in frames:
                    c.frame(f, **more) if isinstance(f, bytes) else c.frame(**f)
            except ConnectionError:
                pass
            closes(c, code)
    with Client(url) as other:
        other.next()
        bad(1009, b'{"ack":' + b' ' * 5000 + b'1}')
        bad(1009, dict(payload=b'{"ack":', final=False), dict(payload=b' ' * 4000, opcode=0, final=False), dict(payload=b' ' * 4000 + b'1}', opcode=0))
        bad(1003, b'\x01\x02', opcode=2)
        for text in (b'', b'{', b'[]', b'1', b'nonsense', b'{"ack":"1"}', b'{"ack":-1}', b'{"ack":1e99}', b'{"want":1}', b'{"want":{"also":1}}', b'{"want":{"run":2}}', b'{"want":{"at":"x"}}',
                     b'{"limit":{}}', b'{"painted":{}}', b'{"ping":null}', b'{"ack":1,"ack":2}', b'[' * 4000, b'{"a":' * 800):
            bad(1008, text)
        bad(None, b'\xff\xfe')
        bad(None, b'x', opcode=3)
        bad(None, b'x' * 200, opcode=9)  # a ping is short
        bad(1009, dict(payload=b'x', length=1 << 62))
        bad(None, dict(payload=b'x', length=1 << 63))
        bad(None, dict(payload=b'x', opcode=0))
        with Client(url) as c:  # half a frame, and away
            c.s.sendall(b'\x81\xfe')
        for text in (b'{}', b'{"unknown":[1,{"x":null}]}', b'{"ack":0}', b'{"ack":4000000000}', b'{"want":{}}', b'{"want":{"run":1,"at":9007199254740992,"from":5,"to":1,"again":true}}',
                     b'{"limit":{"points":0}}', b'{"painted":{"run":1,"n":-5,"clock":1e300}}', b'{"painted":{"run":0,"n":4000000000,"clock":0}}'):
            other.frame(text)
        other.frame(b'{"pi', final=False)
        other.frame(b'', opcode=9)
        other.frame(b'ng":7}', opcode=0)
        while True:
            r = other.next()
            assert r, other.closed
            if r.type == 'status' and r.json().get('pong') == 7:
                break


def crowd(url, pid, clients):
    """Far more connections than there may be: those that say nothing go first, and whoever is quick gets in."""
    before, many = len(os.listdir('/proc/%s/fd' % pid)), []
    with Client(url) as here:
        for k in range(1000):
            s = connect(url)
            s.sendall(b'GET / HTTP/1.1\r\nX: ' if k % 2 else b'')
            many.append(s)
            if k % 200 == 100:
                assert get(url)[0] == 200
        assert take(url, SECONDS, until=len)[0].type == 'hello'
        now = len(os.listdir('/proc/%s/fd' % pid))
        assert now - before <= int(clients) + 64 + 1, (before, now)
        # the first are gone
        many[0].settimeout(SECONDS)
        try:
            assert many[0].recv(1) == b''
        except ConnectionError:
            pass
        # each of them slowly goes on
        for s in many[900:]:
            try:
                s.sendall(b'a')
            except OSError:
                pass
        here.say({'ping': 3})
        while True:
            r = here.next()
            if r.type == 'status' and r.json().get('pong') == 3:
                break
    for s in many:
        s.close()


def full(url, clients):
    """As many clients as may be; the next one is told."""
    inside = [Client(url) for _ in range(int(clients))]
    try:
        Client(url)
        raise AssertionError('one too many')
    except Client.Refused as e:
        assert str(e).startswith('503 '), e
    inside.pop().s.close()
    end = time.monotonic() + SECONDS
    while True:
        try:
            inside.append(Client(url))
            break
        except Client.Refused:
            assert time.monotonic() < end
    for c in inside:
        c.s.close()


def stuck(url, ready, go):
    """Connects, says so, and never reads; ends when `go` is there."""
    with Client(url):
        open(ready, 'w').close()
        end = time.monotonic() + 600
        while not os.path.exists(go) and time.monotonic() < end:
            time.sleep(0.05)


def follow(url, frames, out):
    """Takes a live run to its end: every frame record, then how the server said goodbye."""
    got = []
    with Client(url, timeout=600) as c:
        open(out, 'w').close()
        while True:
            r = c.next()
            if r is None:
                break
            got.append(r)
            try:
                c.say({'ack': r.seq})
                if r.type == 'frame':
                    c.say({'painted': {'run': 0, 'n': r.n, 'clock': time.time()}})
            except ConnectionError:
                pass
    assert [r.n for r in of(got, 'frame')] == list(range(int(frames))), summary(got)
    assert c.closed[0] == 1001, c.closed


def two(url, a, b):
    got = take(url, SECONDS, until=lambda g: whole(g, int(a)) and whole(g, int(b), 1) and of(g, 'status'))
    assert len(of(got, 'frame', 0)) == int(a) and len(of(got, 'frame', 1)) == int(b)
    assert len(of(got, 'hello')[-1].json()['runs']) == 2
    assert of(got, 'status')[-1].json()['second']['frames'] == int(b)


if __name__ == '__main__':
    globals()[sys.argv[1]](*sys.argv[2:])
