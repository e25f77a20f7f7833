// ns-3's measure of the simulator's own benchmark: one bulk transfer over TCP between two hosts, 1 ms apart, that no queue and no rate
// holds up. It prints the segments that both hosts received, and the processor seconds that they took.
//
// Usage: ns3 BYTES

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "ns3/applications-module.h"
#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"

using namespace ns3;

static uint64_t segments;

static void
Count(Ptr<const Packet>, Ptr<Ipv4>, uint32_t)
{
    segments++;
}

static double
Processor()
{
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

int
main(int argc, char** argv)
{
    const uint64_t size = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100000000;
    Config::SetDefault("ns3::TcpSocket::SegmentSize", UintegerValue(1448));
    Config::SetDefault("ns3::TcpSocket::SndBufSize", UintegerValue(4 << 20));
    Config::SetDefault("ns3::TcpSocket::RcvBufSize", UintegerValue(6 << 20));
    NodeContainer nodes(2);
    PointToPointHelper link;
    link.SetDeviceAttribute("DataRate", StringValue("100Gbps"));
    link.SetChannelAttribute("Delay", StringValue("1ms"));
    link.SetQueue("ns3::DropTailQueue", "MaxSize", StringValue("100000p"));
    NetDeviceContainer devices = link.Install(nodes);
    InternetStackHelper().Install(nodes);
    Ipv4AddressHelper addresses("10.0.0.0", "255.255.255.0");
    Ipv4InterfaceContainer interfaces = addresses.Assign(devices);
    PacketSinkHelper sink("ns3::TcpSocketFactory", InetSocketAddress(Ipv4Address::GetAny(), 9));
    ApplicationContainer receiver = sink.Install(nodes.Get(1));
    BulkSendHelper source("ns3::TcpSocketFactory", InetSocketAddress(interfaces.GetAddress(1), 9));
    source.SetAttribute("MaxBytes", UintegerValue(size));
    source.SetAttribute("SendSize", UintegerValue(1 << 18));
    source.Install(nodes.Get(0));
    Config::ConnectWithoutContext("/NodeList/*/$ns3::Ipv4L3Protocol/Rx", MakeCallback(&Count));
    Simulator::Stop(Seconds(3600));
    const double begin = Processor();
    Simulator::Run();
    const double seconds = Processor() - begin;
    const uint64_t got = DynamicCast<PacketSink>(receiver.Get(0))->GetTotalRx();
    Simulator::Destroy();
    std::printf("%llu %.6f\n", static_cast<unsigned long long>(segments), seconds);
    return got == size ? 0 : 1;
}
