"""multiprocessing: processes.py five|queue|pipe|manager|lock"""

import multiprocessing
import os
import queue
import sys
import time


def work(number):
    print(f"Worker {number} is working in process {os.getpid()}\n", end="", flush=True)


def run_all(target, arguments):
    processes = [multiprocessing.Process(target=target, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def five():
    run_all(work, [(number,) for number in range(5)])
    print("All have ended")


def put_square(items, number):
    items.put(number * number)


def queue_():
    items = multiprocessing.Queue()
    run_all(put_square, [(items, number) for number in range(5)])
    print(sorted(items.get() for _ in range(5)))
    try:
        items.get(timeout=0.2)
    except queue.Empty:
        print("A sixth get: would wait for ever")


def send(connection):
    connection.send("Hello from child")
    connection.close()


def pipe():
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=send, args=(theirs,))
    process.start()
    print(ours.recv())
    process.join()


def set_square(squares, number):
    squares[number] = number * number


def manager():
    with multiprocessing.Manager() as manager:
        squares = manager.dict()
        run_all(set_square, [(squares, number) for number in range(5)])
        print(dict(sorted(squares.items())))


def work_locked(lock, number):
    with lock:
        print(f"Process {number} is working", flush=True)
        time.sleep(0.1)
        print(f"Process {number} has finished", flush=True)


def lock():
    lock = multiprocessing.Lock()
    run_all(work_locked, [(lock, number) for number in range(5)])


if __name__ == "__main__":
    globals()[{"queue": "queue_"}.get(sys.argv[1], sys.argv[1])]()
