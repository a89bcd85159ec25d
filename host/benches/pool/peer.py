"""The same work with multiprocessing; prints seconds. Arguments: processes, what, and how much of it."""

import sys
import time
from multiprocessing import Array, Manager, Pool, Process, Queue, Value

# None is Python's own choice: a quarter of a worker's share.
CHUNK_SIZES = [None, 1_000, 10_000, 100_000]


def cube(number):
    return number * number * number


def timed(function):
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def map_all(pool, calls):
    best = float("inf")
    for chunk_size in CHUNK_SIZES:
        seconds, cubes = timed(lambda: pool.map(cube, range(calls), chunk_size))
        assert len(cubes) == calls and cubes[-1] == (calls - 1) ** 3
        best = min(best, seconds)
        del cubes
    return [best]


def apply(pool, calls):
    seconds = sorted(timed(lambda: pool.apply(cube, (3,)))[0] for _ in range(calls))
    return [seconds[calls // 2], seconds[calls * 99 // 100]]


def first_result(processes):
    started = time.perf_counter()
    with Pool(processes) as pool:
        assert pool.apply(cube, (3,)) == 27
        return [time.perf_counter() - started]


def add(counter, count):
    for _ in range(count):
        with counter.get_lock():
            counter.value += 1


def put(queue, count):
    for _ in range(count):
        queue.put(b"0123456789abcdef")


def append(shared, count):
    for number in range(count):
        shared.append(number)


def look_up(shared, count):
    for number in range(count):
        shared[number % 100]


def in_processes(processes, function, shared, count):
    workers = [Process(target=function, args=(shared, count // processes)) for _ in range(processes)]

    def run():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return timed(run)[0]


def shared(processes, what, count):
    if what == "value":
        counter = Value("q", 0)
        seconds = in_processes(processes, add, counter, count)
        assert counter.value == count // processes * processes
        return [seconds]
    if what == "queue":
        queue = Queue(1024)
        producer = Process(target=put, args=(queue, count))
        producer.start()
        queue.get()
        seconds = timed(lambda: [queue.get() for _ in range(count - 1)])[0]
        producer.join()
        return [seconds]
    if what == "array":
        numbers = Array("q", range(count))
        seconds, total = timed(lambda: sum(sum(numbers[at : at + 8192]) for at in range(0, count, 8192)))
        assert total == count * (count - 1) // 2
        return [seconds]
    with Manager() as manager:
        if what == "list":
            return [in_processes(processes, append, manager.list(), count)]
        seen = manager.dict({number: number for number in range(100)})
        # Per look-up and process, as the other side counts.
        return [in_processes(processes, look_up, seen, count) * processes]


SHARED = ["value", "queue", "array", "list", "dict"]


def main(processes, what, amount=0):
    if what == "first":
        return first_result(processes)
    if what in SHARED:
        return shared(processes, what, amount)
    with Pool(processes) as pool:
        if what == "map":
            return map_all(pool, amount)
        if what == "apply":
            return apply(pool, amount)
        seconds, cubes = timed(lambda: pool.map(cube, range(10)))
        assert cubes == [number**3 for number in range(10)]
        return [seconds]


if __name__ == "__main__":
    print(*main(int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])))
