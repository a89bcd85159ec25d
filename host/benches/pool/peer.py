"""The same work with multiprocessing and concurrent.futures; prints figures, seconds unless said otherwise.

Arguments: processes, what, and how much of it.
"""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Array, Manager, Pool, Process, Queue, Value, active_children

# 0 is Python's own choice: a quarter of a worker's share. concurrent.futures would choose 1.
CHUNK_SIZES = [0, 1_000, 10_000, 100_000]
CHUNK_SIZES_OF_FUTURES = [1_000, 10_000, 100_000]


def cube(number):
    return number * number * number


def timed(function):
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def wrapped_sum(numbers):
    """Below two millions cubes are the other side's; beyond, the other side's wrap."""
    return sum(numbers) & 0xFFFF_FFFF_FFFF_FFFF


def map_in(run, calls):
    seconds, cubes = timed(lambda: run(calls))
    assert len(cubes) == calls
    assert wrapped_sum(cubes) == (calls * (calls - 1) // 2) ** 2 & 0xFFFF_FFFF_FFFF_FFFF
    return seconds


def in_pool(pool, chunk_size):
    return lambda calls: pool.map(cube, range(calls), chunk_size or None)


def in_executor(executor, chunk_size):
    return lambda calls: list(executor.map(cube, range(calls), chunksize=chunk_size))


def best_chunk_size(chunk_sizes, runner, calls):
    return min(chunk_sizes, key=lambda size: map_in(runner(size), calls))


def times_of(function, calls, rest_ms):
    """Median and 99th percentile of calls one after the other, after so many milliseconds of rest each."""

    def rested():
        if rest_ms:
            time.sleep(rest_ms / 1000)
        return timed(function)

    times = []
    for _ in range(calls):
        seconds, result = rested()
        assert result == 27
        times.append(seconds)
    times.sort()
    return [times[calls // 2], times[calls * 99 // 100]]


def echo(value):
    return value


def echo_bytes(pool, length):
    value = b"x" * length
    count = max(1, min(200, 2_000_000 // max(length, 1)))

    def all_of_them():
        for _ in range(count):
            assert pool.apply(echo, (value,)) == value

    pool.apply(echo, (b"",))
    return [timed(all_of_them)[0] / count]


def write_lines(pool, calls):
    sys.stdout.writelines(f"{cube}\n" for cube in pool.imap(cube, range(calls), 100_000))


def processor_seconds(process):
    """Of all threads of a process but this one."""
    total = 0
    for thread in os.listdir(f"/proc/{process}/task"):
        if process != os.getpid() or int(thread) != process:
            with open(f"/proc/{process}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
    return total / 1e9


def private_bytes(process):
    with open(f"/proc/{process}/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_")) * 1024


def idle(pool, milliseconds):
    """Processor time per second of a pool that does nothing, and private bytes per worker."""
    pool.map(cube, range(10_000))
    workers = [child.pid for child in active_children()]
    time.sleep(0.2)
    everybody = [os.getpid(), *workers]
    before = sum(map(processor_seconds, everybody))
    time.sleep(milliseconds / 1000)
    taken = sum(map(processor_seconds, everybody)) - before
    return [taken / (milliseconds / 1000), sum(map(private_bytes, workers)) / len(workers)]


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


def all_at_once(submit, result, calls):
    def run():
        futures = [submit(number) for number in range(calls)]
        return [result(future) for future in futures]

    seconds, cubes = timed(run)
    assert cubes == [number**3 for number in range(calls)]
    return [seconds]


SHARED = ["value", "queue", "array", "list", "dict"]


def with_executor(executor, what, amounts):
    if what == "futures-best":
        return [best_chunk_size(CHUNK_SIZES_OF_FUTURES, lambda size: in_executor(executor, size), *amounts)]
    if what == "futures-map":
        calls, chunk_size = amounts
        return [map_in(in_executor(executor, chunk_size), calls)]
    if what == "futures-async":
        return all_at_once(lambda number: executor.submit(cube, number), lambda future: future.result(), *amounts)
    return times_of(lambda: executor.submit(cube, 3).result(), *amounts)


def with_pool(pool, what, amounts):
    if what == "best":
        return [best_chunk_size(CHUNK_SIZES, lambda size: in_pool(pool, size), *amounts)]
    if what == "map":
        calls, chunk_size = amounts
        return [map_in(in_pool(pool, chunk_size), calls)]
    if what == "apply":
        return times_of(lambda: pool.apply(cube, (3,)), *amounts)
    if what == "apply-async":
        return all_at_once(lambda number: pool.apply_async(cube, (number,)), lambda result: result.get(), *amounts)
    if what == "echo":
        return echo_bytes(pool, *amounts)
    if what == "idle":
        return idle(pool, *amounts)
    if what == "lines":
        write_lines(pool, *amounts)
        return []
    seconds, cubes = timed(lambda: pool.map(cube, range(10)))
    assert cubes == [number**3 for number in range(10)]
    return [seconds]


def main(processes, what, *amounts):
    if what == "first":
        return first_result(processes)
    if what in SHARED:
        return shared(processes, what, *amounts)
    if what.startswith("futures-"):
        with ProcessPoolExecutor(processes) as executor:
            return with_executor(executor, what, amounts)
    with Pool(processes) as pool:
        return with_pool(pool, what, amounts)


if __name__ == "__main__":
    print(*main(int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])), end="")
