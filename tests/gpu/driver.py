"""Device memory as the driver counts it: through NVML, which nvidia-smi asks too. Without that library every figure is 0."""
import ctypes
import threading
import time

MIB = 1 << 20


class _Memory(ctypes.Structure):  # nvmlMemory_v2_t
    _fields_ = [("version", ctypes.c_uint)] + [(name, ctypes.c_ulonglong) for name in ("total", "reserved", "free", "used")]


class _Process(ctypes.Structure):  # nvmlProcessInfo_t
    _fields_ = [("pid", ctypes.c_uint), ("used", ctypes.c_ulonglong), ("gpu", ctypes.c_uint), ("compute", ctypes.c_uint)]


def _open():
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None, None
    device = ctypes.c_void_p()
    ok = library.nvmlInit_v2() == 0 and library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) == 0
    return (library, device) if ok else (None, None)


_library, _device = _open()


def used():
    """MiB in use on the first GPU, by anyone, without what the driver reserves for itself."""
    memory = _Memory(version=ctypes.sizeof(_Memory) | 2 << 24)
    ok = _library and _library.nvmlDeviceGetMemoryInfo_v2(_device, ctypes.byref(memory)) == 0
    return memory.used / MIB if ok else 0.0


def processes():
    """By pid: MiB that each process has on the first GPU. Empty where the driver does not say (in some containers)."""
    count, list_ = ctypes.c_uint(256), (_Process * 256)()
    ok = _library and _library.nvmlDeviceGetComputeRunningProcesses_v3(_device, ctypes.byref(count), list_) == 0
    return {p.pid: p.used / MIB for p in list_[:count.value] if p.used < 1 << 60} if ok else {}


class Watch(threading.Thread):
    """Between start and stop: the most that was in use on the device, and by each process."""

    def __init__(self, every=0.1):
        super().__init__(daemon=True)
        self.every, self.most, self.of, self.on = every, 0.0, {}, True

    def run(self):
        while self.on:
            self.most = max(self.most, used())
            for pid, mib in processes().items():
                self.of[pid] = max(self.of.get(pid, 0.0), mib)
            time.sleep(self.every)

    def stop(self):
        self.on = False
        self.join()
        return self.most

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
