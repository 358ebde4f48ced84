/* SPDX-License-Identifier: MPL-2.0 */
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import org.zeromq.ZMQ;

/* A client on JeroMQ: Peer KIND ENDPOINT. Goes through the messages of messages.py once and prints "done"; any difference ends with code 1.
 * An application: Peer bind KIND ENDPOINT [COUNT]. Prints "ready"; see serve(). */
public final class Peer {
    private static final int MIB = 1 << 20;
    private static final int[][] SHAPES = {{0}, {1}, {0, 0}, {255}, {256, 0, 1}, {65535}, {65536, 1}, {MIB}, {MIB + 1, 0, 300000}, hundred()};

    private static int[] hundred() {
        int[] sizes = new int[100];
        Arrays.fill(sizes, 100);
        return sizes;
    }

    private static byte[] frame(int m, int f, int size) {
        byte[] body = new byte[size];
        for (int j = 0; j < size; j++) {
            body[j] = (byte) (31 * (j & 255) + 7 * f + 13 * m);
        }
        return body;
    }

    private static List<byte[]> message(int m) {
        List<byte[]> frames = new ArrayList<>();
        for (int f = 0; f < SHAPES[m].length; f++) {
            frames.add(frame(m, f, SHAPES[m][f]));
        }
        return frames;
    }

    private static int typeOf(String kind) {
        switch (kind) {
        case "req":
            return ZMQ.REQ;
        case "dealer":
            return ZMQ.DEALER;
        case "push":
            return ZMQ.PUSH;
        case "sub":
            return ZMQ.SUB;
        case "pair":
            return ZMQ.PAIR;
        case "rep":
            return ZMQ.REP;
        case "router":
            return ZMQ.ROUTER;
        case "pull":
            return ZMQ.PULL;
        case "pub":
            return ZMQ.PUB;
        default:
            throw new IllegalArgumentException(kind);
        }
    }

    private static void send(ZMQ.Socket socket, List<byte[]> frames) {
        for (int f = 0; f < frames.size(); f++) {
            if (!socket.send(frames.get(f), f + 1 < frames.size() ? ZMQ.SNDMORE : 0)) {
                throw new IllegalStateException("send failed");
            }
        }
    }

    private static List<byte[]> receive(ZMQ.Socket socket) {
        List<byte[]> frames = new ArrayList<>();
        do {
            byte[] frame = socket.recv(0);
            if (frame == null) {
                throw new IllegalStateException("nothing received");
            }
            frames.add(frame);
        } while (socket.hasReceiveMore());
        return frames;
    }

    private static void check(int m, List<byte[]> got, List<byte[]> wanted) {
        boolean same = got.size() == wanted.size();
        for (int f = 0; same && f < got.size(); f++) {
            same = Arrays.equals(got.get(f), wanted.get(f));
        }
        if (!same) {
            throw new IllegalStateException("message " + m + " differs: " + got.size() + " frames");
        }
    }

    private static void talk(String kind, ZMQ.Socket socket) {
        for (int m = 0; m < SHAPES.length; m++) {
            List<byte[]> wanted = message(m);
            if (kind.equals("sub")) {
                wanted.add(0, "news".getBytes());
                check(m, receive(socket), wanted);
                continue;
            }
            send(socket, wanted);
            if (!kind.equals("push")) {
                check(m, receive(socket), wanted);
            }
        }
    }

    /* The application's side: echoes, takes, or says COUNT numbered messages. */
    private static void serve(String kind, ZMQ.Socket socket, int count) throws Exception {
        if (kind.equals("pub")) {
            for (int i = 0; System.in.available() == 0; i++) {
                socket.send(("news " + i).getBytes(), 0);
                Thread.sleep(10);
            }
        } else if (count > 0) {
            for (int i = 0; i < count; i++) {
                socket.send(Integer.toString(i).getBytes(), 0);
            }
            System.out.println("done");
            System.in.read();
        } else {
            while (true) {
                List<byte[]> frames = receive(socket);
                if (kind.equals("pull")) {
                    System.out.println("took " + new String(frames.get(0)));
                } else {
                    send(socket, frames);
                }
            }
        }
    }

    public static void main(String[] args) throws Exception {
        boolean binds = args[0].equals("bind");
        if (binds) {
            args = Arrays.copyOfRange(args, 1, args.length);
        }
        ZMQ.Context context = ZMQ.context(1);
        ZMQ.Socket socket = context.socket(typeOf(args[0]));
        socket.setLinger(0);
        if (binds) {
            socket.bind(args[1]);
            System.out.println("ready");
            serve(args[0], socket, args.length > 2 ? Integer.parseInt(args[2]) : 0);
            System.exit(0);
        }
        if (args.length > 2) {
            socket.setIdentity(args[2].getBytes());
        }
        if (args[0].equals("sub")) {
            socket.subscribe("news".getBytes());
        }
        socket.connect(args[1]);
        talk(args[0], socket);
        System.out.println("done");
        System.in.read(); // a pusher's messages may still be on their way; the test ends it when they have arrived
        System.exit(0);
    }
}
