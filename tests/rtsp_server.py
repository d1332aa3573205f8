"""rtsp_server.py PORT [SIZE RATE]: a camera on the network: an RTSP server (RFC 2326, TCP interleaved) that sends to every client
that plays the same picture ffmpeg draws, from now on. Says "ready" when it listens; ends when its standard input closes."""
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading

port = int(sys.argv[1])
size, rate = sys.argv[2:4] if len(sys.argv) > 2 else ("160x120", "20")
players, lock = [], threading.Lock()

rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
rtp.bind(("127.0.0.1", 0))
rtcp_sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
rtcp_sink.bind(("127.0.0.1", 0))
folder = tempfile.TemporaryDirectory()
sdp_file = os.path.join(folder.name, "sdp")
source = subprocess.Popen(
    ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}", "-c:v", "libx264", "-preset", "ultrafast",
     "-tune", "zerolatency", "-g", "10", "-pix_fmt", "yuv420p", "-flags", "+global_header", "-f", "rtp", "-sdp_file", sdp_file,
     f"rtp://127.0.0.1:{rtp.getsockname()[1]}?rtcpport={rtcp_sink.getsockname()[1]}"],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL))  # PR_SET_PDEATHSIG: also when this process is killed


def forward():
    while packet := rtp.recv(65536):
        with lock:
            for client in list(players):
                try:
                    client.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)
                except OSError:
                    players.remove(client)


def sdp():
    # What a client needs; ports and addresses are agreed on in SETUP.
    lines = [line for line in open(sdp_file).read().split("\n") if line.startswith(("a=rtpmap", "a=fmtp"))]
    return "\r\n".join(["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "t=0 0", "m=video 0 RTP/AVP 96", *lines, "a=control:track0", ""])


def serve(client):
    try:
        converse(client, client.makefile("rb"))
    except OSError:
        pass  # it went away
    client.close()


def converse(client, requests):
    while line := requests.readline():
        if line[:1] == b"$":  # RTCP from the client
            requests.read(int.from_bytes((line + requests.read(max(0, 4 - len(line))))[2:4], "big"))
            continue
        if not line.strip():
            continue
        method, url = line.split()[:2]
        headers = {}
        while (line := requests.readline()).strip():
            name, value = line.decode().split(":", 1)
            headers[name.strip().lower()] = value.strip()
        answer, body = [f"CSeq: {headers['cseq']}"], ""
        if method == b"OPTIONS":
            answer.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
        elif method == b"DESCRIBE":
            body = sdp()
            answer += ["Content-Type: application/sdp", f"Content-Base: {url.decode()}/", f"Content-Length: {len(body)}"]
        elif method == b"SETUP":
            answer += ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1"]
        elif method in (b"PLAY", b"TEARDOWN", b"GET_PARAMETER"):
            answer.append("Session: 1")
        with lock:
            client.sendall(("\r\n".join(["RTSP/1.0 200 OK", *answer, "", ""]) + body).encode())
            if method == b"PLAY":
                players.append(client)
        if method == b"TEARDOWN":
            break


def listen():
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    rtp.recv(65536)  # the SDP is complete when pictures come
    server.listen()
    threading.Thread(target=forward, daemon=True).start()
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()


threading.Thread(target=listen, daemon=True).start()
sys.stdin.read()
source.kill()
source.wait()
folder.cleanup()
os._exit(0)
