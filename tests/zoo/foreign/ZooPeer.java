/* SPDX-License-Identifier: MPL-2.0 */
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.zeromq.ZMQ;

/* Peers of the zoo on JeroMQ: ZooPeer rep|router BIND, or ZooPeer req|dealer|push CONNECT CLIENTS THINK_MS. What a client did is printed as the zoo's
 * programs print it: "op DONE_NS LATENCY_NS". */
public final class ZooPeer {
    private static final ConcurrentLinkedQueue<String> out = new ConcurrentLinkedQueue<>();
    private static long startNs;
    private static long endNs;

    private static long environment(String name) {
        String value = System.getenv(name);
        return value == null ? 0 : Long.parseLong(value);
    }

    private static List<byte[]> receive(ZMQ.Socket socket) {
        List<byte[]> frames = new ArrayList<>();
        do {
            frames.add(socket.recv(0));
        } while (socket.hasReceiveMore());
        return frames;
    }

    private static void application(ZMQ.Context context, String kind, String endpoint) {
        ZMQ.Socket socket = context.socket(kind.equals("rep") ? ZMQ.REP : ZMQ.ROUTER);
        socket.bind(endpoint);
        while (true) {
            List<byte[]> frames = receive(socket);
            for (int f = 0; f < frames.size(); f++) {
                socket.send(frames.get(f), f + 1 < frames.size() ? ZMQ.SNDMORE : 0);
            }
        }
    }

    private static void client(ZMQ.Context context, String kind, String endpoint, int thinkMs) throws Exception {
        ZMQ.Socket socket = context.socket(kind.equals("req") ? ZMQ.REQ : kind.equals("push") ? ZMQ.PUSH : ZMQ.DEALER);
        Random random = new Random(1);
        socket.connect(endpoint);
        while (System.nanoTime() < endNs) {
            long since = System.nanoTime();
            byte[] stamp = ByteBuffer.allocate(16).putLong(0).putLong(since).array();
            socket.send(stamp, ZMQ.SNDMORE);
            socket.send(new byte[40], 0);
            if (!kind.equals("push")) {
                if (!Arrays.equals(receive(socket).get(0), stamp)) {
                    out.add("broken an answer to another question");
                }
                if (since >= startNs) {
                    out.add("op " + System.nanoTime() + " " + (System.nanoTime() - since));
                }
            }
            Thread.sleep(thinkMs / 2 + random.nextInt(thinkMs + 1));
        }
    }

    public static void main(String[] args) throws Exception {
        ZMQ.Context context = ZMQ.context(1);
        startNs = environment("ZOO_START_NS");
        endNs = environment("ZOO_END_NS");
        if (args.length == 2) {
            application(context, args[0], args[1]);
        }
        Thread[] threads = new Thread[Integer.parseInt(args[2])];
        for (int i = 0; i < threads.length; i++) {
            threads[i] = new Thread(() -> {
                try {
                    client(context, args[0], args[1], Integer.parseInt(args[3]));
                } catch (Exception e) {
                    out.add("broken " + e);
                }
            });
            threads[i].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        out.forEach(System.out::println);
        System.out.flush();
        Thread.sleep(300); // what was pushed last may still be on its way
        Runtime.getRuntime().halt(0);
    }
}
