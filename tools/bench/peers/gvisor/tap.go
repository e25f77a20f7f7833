package main

import (
	"encoding/binary"
	"sync"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// linux/virtio_net.h, linux/if_tun.h
const (
	vnetLen     = 10
	needsCsum   = 1
	gsoTCPv4    = 1
	tunCsum     = 1
	tunTSO4     = 2
	maxFrame    = 14 + 65535
	gsoMax      = 65535 - 120
	mtu         = 1500
	linkAddress = "\x02\x00\x00\x00\x00\x08"
)

// tapLink is a link endpoint on a TAP with virtio-net headers. (gVisor's own fdbased offers TSO on sockets only.)
type tapLink struct {
	fd         int
	tso        bool
	mu         sync.RWMutex
	dispatcher stack.NetworkDispatcher
}

func openTap(name string, tso bool) (*tapLink, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if tso {
		flags |= unix.IFF_VNET_HDR
	}
	request.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, err
	}
	if tso {
		if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tunCsum|tunTSO4); err != nil {
			return nil, err
		}
	}
	return &tapLink{fd: fd, tso: tso}, nil
}

func (l *tapLink) MTU() uint32                             { return mtu }
func (l *tapLink) SetMTU(uint32)                           {}
func (l *tapLink) MaxHeaderLength() uint16                 { return header.EthernetMinimumSize }
func (l *tapLink) LinkAddress() tcpip.LinkAddress          { return linkAddress }
func (l *tapLink) SetLinkAddress(tcpip.LinkAddress)        {}
func (l *tapLink) Wait()                                   {}
func (l *tapLink) Close()                                  {}
func (l *tapLink) SetOnCloseAction(func())                 {}
func (l *tapLink) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

func (l *tapLink) Capabilities() stack.LinkEndpointCapabilities {
	caps := stack.CapabilityResolutionRequired
	if l.tso {
		// With TSO on, frames from the kernel have no complete checksum, and need none.
		caps |= stack.CapabilityRXChecksumOffload
	}
	return caps
}

func (l *tapLink) GSOMaxSize() uint32 {
	if l.tso {
		return gsoMax
	}
	return 0
}

func (l *tapLink) SupportedGSO() stack.SupportedGSO {
	if l.tso {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

func (l *tapLink) Attach(dispatcher stack.NetworkDispatcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	started := l.dispatcher != nil
	l.dispatcher = dispatcher
	if dispatcher != nil && !started {
		go l.read(dispatcher)
	}
}

func (l *tapLink) IsAttached() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dispatcher != nil
}

func (l *tapLink) AddHeader(pkt *stack.PacketBuffer) {
	header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{
		SrcAddr: linkAddress, DstAddr: pkt.EgressRoute.RemoteLinkAddress, Type: pkt.NetworkProtocolNumber,
	})
}

func (l *tapLink) ParseHeader(pkt *stack.PacketBuffer) bool {
	h, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	if ok {
		pkt.NetworkProtocolNumber = header.Ethernet(h).Type()
	}
	return ok
}

func (l *tapLink) read(dispatcher stack.NetworkDispatcher) {
	offset := 0
	if l.tso {
		offset = vnetLen
	}
	buf := make([]byte, offset+maxFrame)
	for {
		n, err := unix.Read(l.fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= offset {
			return
		}
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(buf[offset:n])})
		if l.ParseHeader(pkt) {
			dispatcher.DeliverNetworkPacket(pkt.NetworkProtocolNumber, pkt)
		}
		pkt.DecRef()
	}
}

func (l *tapLink) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	written := 0
	for _, pkt := range pkts.AsSlice() {
		var parts [][]byte
		if l.tso {
			parts = append(parts, vnetHeader(pkt))
		}
		parts = append(parts, pkt.AsSlices()...)
		if _, err := unix.Writev(l.fd, parts); err != nil && err != unix.EIO && err != unix.ENOBUFS {
			return written, &tcpip.ErrAborted{}
		}
		written++
	}
	return written, nil
}

func vnetHeader(pkt *stack.PacketBuffer) []byte {
	h := make([]byte, vnetLen)
	gso := pkt.GSOOptions
	if gso.Type == stack.GSONone {
		return h
	}
	if gso.NeedsCsum {
		h[0] = needsCsum
		binary.LittleEndian.PutUint16(h[6:], header.EthernetMinimumSize+gso.L3HdrLen)
		binary.LittleEndian.PutUint16(h[8:], gso.CsumOffset)
	}
	if pkt.Data().Size() > int(gso.MSS) {
		h[1] = gsoTCPv4
		binary.LittleEndian.PutUint16(h[2:], uint16(pkt.HeaderSize()))
		binary.LittleEndian.PutUint16(h[4:], gso.MSS)
	}
	return h
}
