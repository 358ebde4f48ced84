# SPDX-License-Identifier: MPL-2.0
import zmq
from zoo import protocol


def ventilator(me, tasks, orders):
    """Hands out the tasks of each order."""
    tasks = me.socket(zmq.PUSH, bind=tasks)
    orders = me.socket(zmq.PULL, bind=orders)
    while True:
        for task in me.recv(orders):
            me.send(tasks, task)


def worker(me, tasks, results, control, work_s):
    """Until the sink says that all is over."""
    tasks, results = me.socket(zmq.PULL, connect=tasks), me.socket(zmq.PUSH, connect=results)
    control = me.socket(zmq.SUB, connect=control, subscribe=b"")
    while True:
        ready = me.poll(tasks, control)
        if control in ready:
            control.recv()
            return
        task = tasks.recv()
        me.work(work_s)
        me.send(results, task)


def sink(me, results, control, orders, batch):
    """Orders batches, counts results, and ends the workers."""
    results = me.socket(zmq.PULL, bind=results)
    control = me.socket(zmq.PUB, bind=control)
    orders = me.socket(zmq.PUSH, connect=orders)
    for number, due in enumerate(me.ops()):
        wanted = {b"%d/%d" % (number, i) for i in range(batch)}
        me.send(orders, *wanted)
        while wanted:
            task = me.recv(results)[0]
            if me.must(task in wanted, "a result came twice"):
                wanted.remove(task)
                me.done(due)
    while True:
        control.send(b"KILL")
        me.work(0.1)


@protocol("tasks", "orders", "results", "control", settle_s=0.5)
def ventilator_sink(cell):
    """A ventilator (PUSH) hands out batches of tasks to workers, a sink (PULL) collects the results, and ends the workers by a signal (PUB)."""
    workers, batch = cell.draw.randint(2, 6), cell.draw.randint(10, 30)
    work_s = workers / cell.draw.uniform(300, 700)
    cell.says(f"{workers} workers, batches of {batch}, {work_s * 1e3:.1f} ms of work")
    cell.application(ventilator, cell.bind("tasks"), cell.bind("orders"))
    cell.application(sink, cell.bind("results"), cell.bind("control"), cell.connect("orders"), batch, capacity=workers / work_s / batch)
    cell.clients(worker, cell.connect("tasks"), cell.connect("results"), cell.connect("control"), work_s, count=workers)
