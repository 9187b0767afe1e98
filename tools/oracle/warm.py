"""One Python that has loaded what the oracles import, and forks for each script: what takes most of a short script's time is done once.

  python -B warm.py serve SOCKET    until its stdin ends; loads when the first script is asked for
  python warm.py load               loads it all and ends: what is installed without byte code has it then
  python warm.py run SOCKET SCRIPT ARGS…    as `python SCRIPT ARGS…`, in a fork of the one that serves: its environment, folder, stdin, stdout,
                                            stderr, exit code, and SIGINT and SIGTERM that it gets

What Python and the libraries read of the environment as they start or load comes too late: Python's own options and hash seed (PYTHON…), HF_… of
folders and of being offline, OMP_…, MKL_…. Where one of those that change what a script does (AT_START) isn't this process's, the script ends with an
error; one that isn't set is as it is here (SETTINGS). A fork draws other random numbers than the next: what was seeded as it was loaded is seeded anew.
"""
import json
import os
import signal
import socket
import sys

#: what is read when a library is loaded, as the scripts have it. Threads that spin starve whatever runs beside
SETTINGS = dict(HF_HUB_OFFLINE="1", OMP_WAIT_POLICY="PASSIVE", TOKENIZERS_PARALLELISM="false", TRL_EXPERIMENTAL_SILENCE="1")
#: what a script can't have otherwise than the process that loaded
AT_START = (
    "HF_HOME", "XDG_CACHE_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE",
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONPATH", "PYTHONHASHSEED",
)  # fmt: skip
#: nothing that computes: threads of a pool would be missing in a fork
LOADED = (
    "safetensors.torch", "datasets", "tokenizers", "peft", "bitsandbytes", "transformers.models.llama.modeling_llama",
    "trl.scripts.sft", "trl.scripts.dpo", "trl.experimental.kto", "trl.experimental.orpo", "trl.experimental.cpo",
)  # fmt: skip
PASSED_ON = (signal.SIGINT, signal.SIGTERM)
KILLED = 128


def load():
    import importlib

    for name in LOADED:
        importlib.import_module(name)


def serve(path):
    import gc
    import select

    seeded = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(path)
        server.listen(64)
        print("ready", flush=True)
        while server in select.select([server, 0], [], [])[0]:
            connection, _ = server.accept()
            ended()
            load()
            seeded = seeded or generators()
            gc.freeze()  # a collection in a fork would copy all pages of what is loaded
            if os.fork() == 0:
                server.close()
                watch(connection, seeded)
                return
            connection.close()
    ended()


def ended():
    """Forks that are done are taken leave of, so that their time counts as this process's children's."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def watch(connection, seeded):
    """Runs what is asked for in a process of its own, which ends with whoever asked, and tells how it ended."""
    message, streams, _, _ = socket.recv_fds(connection, 2**20, 3)
    child = os.fork()
    if child == 0:
        connection.close()
        become(streams, seeded, **json.loads(message))
        return
    for stream in streams:
        os.close(stream)
    for stream in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)

    def listen():
        while word := connection.recv(1):
            os.kill(child, word[0])
        os.kill(child, signal.SIGKILL)

    import threading

    threading.Thread(target=listen, daemon=True).start()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.send(bytes([status if status >= 0 else KILLED - status]))
    os._exit(0)


def become(streams, seeded, words, environment, folder):
    import runpy

    for to, stream in enumerate(streams):
        os.dup2(stream, to)
        os.close(stream)
    sys.stdout.reconfigure(line_buffering=True)
    environment = SETTINGS | environment
    for name in AT_START:
        if environment.get(name) != os.environ.get(name):
            here, wanted = (repr(values[name]) if name in values else "not set" for values in (os.environ, environment))
            sys.exit(f"warm.py: {name} is {wanted} for {words[0]}, {here} where the libraries were loaded: too late to be another. Run it by a Python of its own.")
    for generator in seeded:
        generator.seed()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = words
    sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
    runpy.run_path(words[0], run_name="__main__")


def generators():
    """What draws random numbers and was seeded by the system as it was loaded."""
    import random

    import numpy
    import torch

    kinds = (random.Random, numpy.random.RandomState, torch.Generator)
    found = {id(value): value for module in list(sys.modules.values()) for value in list(getattr(module, "__dict__", {}).values()) if isinstance(value, kinds)}
    return list(found.values())


def ask(path, words):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(path)
        for number in PASSED_ON:
            signal.signal(number, lambda number, _: connection.send(bytes([number])))
        message = json.dumps(dict(words=words, environment=dict(os.environ), folder=os.getcwd())).encode()
        socket.send_fds(connection, [message], [0, 1, 2])
        answer = connection.recv(1)
    # without an answer: the one that serves has ended
    os._exit(answer[0] if answer else 1)


if __name__ == "__main__":
    if sys.argv[1] == "run":
        ask(sys.argv[2], sys.argv[3:])
    os.environ.update(SETTINGS)
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        load()
