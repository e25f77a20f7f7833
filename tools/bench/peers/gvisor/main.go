// gVisor's netstack on a TAP: the services of the benchmark on gonet connections, one goroutine each.
//
//	gvisor TAP tso|plain
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const page = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world.\n"

var address = tcpip.AddrFrom4([4]byte{10, 77, 0, 2})

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: gvisor TAP tso|plain")
	}
	link, err := openTap(os.Args[1], os.Args[2] == "tso")
	if err != nil {
		log.Fatal(err)
	}
	s := makeStack(link)
	serve(s, 7, echo)
	serve(s, 9, func(conn net.Conn) { discard(conn) })
	serve(s, 19, chargen)
	serve(s, 80, http)
	serve(s, 99, func(conn net.Conn) { discard(conn) })
	go udpEcho(s)
	fmt.Println("ready")
	select {}
}

func makeStack(link stack.LinkEndpoint) *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
		HandleLocal:        true,
	})
	sack := tcpip.TCPSACKEnabled(true)
	cubic := tcpip.CongestionControlOption("cubic")
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: 8 << 20}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: 8 << 20}
	check(s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack))
	check(s.SetTransportProtocolOption(tcp.ProtocolNumber, &cubic))
	check(s.SetTransportProtocolOption(tcp.ProtocolNumber, &moderate))
	check(s.SetTransportProtocolOption(tcp.ProtocolNumber, &receive))
	check(s.SetTransportProtocolOption(tcp.ProtocolNumber, &send))
	check(s.CreateNIC(1, link))
	check(s.AddProtocolAddress(1, tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address, PrefixLen: 16},
	}, stack.AddressProperties{}))
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	return s
}

func check(err tcpip.Error) {
	if err != nil {
		log.Fatal(err)
	}
}

func serve(s *stack.Stack, port uint16, handle func(net.Conn)) {
	listener, err := gonet.ListenTCP(s, tcpip.FullAddress{NIC: 1, Port: port}, ipv4.ProtocolNumber)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				log.Fatal(err)
			}
			go func() {
				handle(conn)
				conn.Close()
			}()
		}
	}()
}

func echo(conn net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func discard(conn net.Conn) {
	buf := make([]byte, 1<<20)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

func chargen(conn net.Conn) {
	go io.Copy(io.Discard, conn)
	buf := make([]byte, 1<<18)
	for {
		if _, err := conn.Write(buf); err != nil {
			return
		}
	}
}

func http(conn net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		// The benchmark's clients send one request per segment.
		if bytes.Contains(buf[:n], []byte("\r\n\r\n")) {
			if _, err := conn.Write([]byte(page)); err != nil {
				return
			}
		}
	}
}

func udpEcho(s *stack.Stack) {
	conn, err := gonet.DialUDP(s, &tcpip.FullAddress{NIC: 1, Port: 7}, nil, ipv4.ProtocolNumber)
	if err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, 65536)
	for {
		n, peer, err := conn.ReadFrom(buf)
		if err != nil {
			log.Fatal(err)
		}
		conn.WriteTo(buf[:n], peer)
	}
}
