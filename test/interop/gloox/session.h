// A gloox client that keeps what it has received, and the environment from the
// harness. Only session.cpp includes this file.

#ifndef INTEROP_GLOOX_SESSION_H
#define INTEROP_GLOOX_SESSION_H

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>

#include <unistd.h>

#include <gloox/client.h>
#include <gloox/connectionlistener.h>
#include <gloox/connectiontcpclient.h>
#include <gloox/connectiontls.h>
#include <gloox/delayeddelivery.h>
#include <gloox/disco.h>
#include <gloox/discohandler.h>
#include <gloox/error.h>
#include <gloox/eventhandler.h>
#include <gloox/lastactivity.h>
#include <gloox/lastactivityhandler.h>
#include <gloox/loghandler.h>
#include <gloox/message.h>
#include <gloox/messagehandler.h>
#include <gloox/presence.h>
#include <gloox/privatexml.h>
#include <gloox/privatexmlhandler.h>
#include <gloox/registration.h>
#include <gloox/registrationhandler.h>
#include <gloox/rosterlistener.h>
#include <gloox/rostermanager.h>
#include <gloox/vcard.h>
#include <gloox/vcardhandler.h>
#include <gloox/vcardmanager.h>

using namespace gloox;

static std::string environment(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

[[noreturn]] static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void check(bool good, const std::string &what)
{
    if (!good)
        fail("not so: %s", what.c_str());
}

// A Session is one client with everything it received, and all handlers.
class Session : ConnectionListener, LogHandler, RosterListener, MessageHandler, VCardHandler,
                RegistrationHandler, PrivateXMLHandler, LastActivityHandler, DiscoHandler,
                EventHandler
{
public:
    struct Text
    {
        std::string body, from;
        Message::MessageType type;
        bool delayed;
    };

    std::string label;
    bool bound = false, gone = false, rosterCame = false, pong = false, fields = false;
    ConnectionError why = ConnNoError;
    StreamError streamError = StreamErrorUndefined;
    int certificate = -1;
    std::deque<Text> messages;
    std::deque<std::string> asked; // subscription requests
    std::string fullName;
    int vcards = 0, stored = 0, registered = -1;
    std::string kept, keptIn;
    long idle = -1;
    int idleError = -1;
    StringList features;
    bool gotInfo = false;

    Session(const std::string &jid, const std::string &password, int mechanisms = 0,
            bool direct = false, bool trust = true)
        : label(jid), trusting(trust), client(new Client(JID(jid), password))
    {
        prepare(mechanisms, direct);
        client->rosterManager()->registerRosterListener(this, false);
    }

    // For registration: no account yet.
    explicit Session(const std::string &domain) : label("new"), client(new Client(domain))
    {
        client->disableRoster();
        prepare(0, false);
        registration.reset(new Registration(client.get()));
        registration->registerRegistrationHandler(this);
    }

    ~Session()
    {
        if (!gone)
            leave();
        vcardManager.reset();
        privateXml.reset();
        lastActivity.reset();
        registration.reset();
    }

    Client *operator->() { return client.get(); }

    // One step of the loop.
    void step()
    {
        if (!gone)
            client->recv(1000);
    }

    void leave()
    {
        client->disconnect();
        gone = true;
    }

    std::string full() { return client->jid().full(); }
    std::string bare() { return client->jid().bare(); }

    void say(const std::string &to, const std::string &body)
    {
        client->send(Message(Message::Chat, JID(to), body));
    }

    const Resource *seen(const std::string &jid)
    {
        RosterItem *item = client->rosterManager()->getRosterItem(JID(jid));
        return item ? item->resource(JID(jid).resource()) : nullptr;
    }

    SubscriptionType subscription(const std::string &jid)
    {
        RosterItem *item = client->rosterManager()->getRosterItem(JID(jid));
        return item ? item->subscription() : S10nNone;
    }

    std::unique_ptr<VCardManager> vcardManager;
    std::unique_ptr<PrivateXML> privateXml;
    std::unique_ptr<LastActivity> lastActivity;
    std::unique_ptr<Registration> registration;

    void storeCard(VCard *card) { vcardManager->storeVCard(card, this); }
    void fetchCard(const std::string &jid) { vcardManager->fetchVCard(JID(jid), this); }
    void keep(const Tag *tag) { keptIn = privateXml->storeXML(tag, this); }
    void remember(const std::string &tag, const std::string &space) { privateXml->requestXML(tag, space, this); }
    void askIdle(const std::string &jid) { lastActivity->query(JID(jid)); }
    void askInfo(const std::string &jid) { client->disco()->getDiscoInfo(JID(jid), "", this, 0); }
    void ping(const std::string &jid) { client->xmppPing(JID(jid), this); }

private:
    bool trusting = true;
    std::unique_ptr<Client> client;

    void prepare(int mechanisms, bool direct)
    {
        std::string address = environment(direct ? "INTEROP_TLS" : "INTEROP_STARTTLS");
        std::string host = address.substr(0, address.rfind(':'));
        int port = atoi(address.substr(address.rfind(':') + 1).c_str());
        StringList ca;
        if (trusting)
            ca.push_back(environment("INTEROP_CA"));

        client->logInstance().registerLogHandler(LogLevelDebug, LogAreaAll, this);
        client->registerConnectionListener(this);
        client->registerMessageHandler(this);
        client->registerStanzaExtension(new DelayedDelivery());
        if (mechanisms)
            client->setSASLMechanisms(mechanisms);
        client->setCACerts(ca);
        vcardManager.reset(new VCardManager(client.get()));
        privateXml.reset(new PrivateXML(client.get()));
        lastActivity.reset(new LastActivity(client.get()));
        lastActivity->registerLastActivityHandler(this);

        ConnectionBase *tcp = new ConnectionTCPClient(client->logInstance(), host, port);
        if (direct) {
            // The library does not support direct TLS, but its TLS layer can be put
            // below the client, which then needs no STARTTLS.
            ConnectionTLS *tls = new ConnectionTLS(client.get(), tcp, client->logInstance());
            tls->setCACerts(ca);
            client->setConnectionImpl(tls);
            client->setTls(TLSDisabled);
        } else {
            tcp->registerConnectionDataHandler(client.get());
            client->setConnectionImpl(tcp);
            client->setTls(TLSRequired);
        }
        client->setCompression(false);
        client->connect(false);
        // The layer for STARTTLS loses the list of setCACerts before connect.
        if (!direct)
            client->encryptionImpl()->setCACerts(ca);
    }

    void onConnect() override
    {
        bound = true;
        label = full();
    }
    void onDisconnect(ConnectionError e) override
    {
        gone = true;
        why = e;
        streamError = client->streamError();
    }
    bool onTLSConnect(const CertInfo &info) override
    {
        certificate = info.status;
        fprintf(stderr, "%s -- certificate status %d of %s, %s %s\n", label.c_str(), info.status, info.server.c_str(), info.protocol.c_str(), info.cipher.c_str());
        return info.status == CertOk;
    }
    void handleLog(LogLevel, LogArea area, const std::string &text) override
    {
        const char *mark = area == LogAreaXmlIncoming ? "S:" : area == LogAreaXmlOutgoing ? "C:" : "--";
        fprintf(stderr, "%s %s %s\n", label.c_str(), mark, text.c_str());
    }

    void handleRoster(const Roster &) override { rosterCame = true; }
    void handleItemAdded(const JID &) override {}
    void handleItemSubscribed(const JID &) override {}
    void handleItemRemoved(const JID &) override {}
    void handleItemUpdated(const JID &) override {}
    void handleItemUnsubscribed(const JID &) override {}
    void handleRosterPresence(const RosterItem &, const std::string &, Presence::PresenceType, const std::string &) override {}
    void handleSelfPresence(const RosterItem &, const std::string &, Presence::PresenceType, const std::string &) override {}
    bool handleSubscriptionRequest(const JID &jid, const std::string &) override
    {
        asked.push_back(jid.bare());
        return false;
    }
    bool handleUnsubscriptionRequest(const JID &, const std::string &) override { return false; }
    void handleNonrosterPresence(const Presence &) override {}
    void handleRosterError(const IQ &) override { fail("%s: roster error", label.c_str()); }

    void handleMessage(const Message &m, MessageSession *) override
    {
        messages.push_back({m.body(), m.from().full(), m.subtype(), m.when() != nullptr});
    }

    void handleVCard(const JID &, const VCard *card) override
    {
        vcards++;
        fullName = card ? card->formattedname() : "";
    }
    void handleVCardResult(VCardContext context, const JID &, StanzaError error) override
    {
        if (context == StoreVCard)
            stored = error == StanzaErrorUndefined ? 1 : -1;
    }

    void handlePrivateXML(const Tag *xml) override { kept = xml ? xml->cdata() : ""; }
    void handlePrivateXMLResult(const std::string &id, PrivateXMLResult result) override
    {
        if (id == keptIn && result == PxmlStoreOk)
            keptIn.clear();
    }

    void handleLastActivityResult(const JID &, long seconds, const std::string &) override { idle = seconds; }
    void handleLastActivityError(const JID &, StanzaError error) override { idleError = error; }

    void handleDiscoInfo(const JID &, const Disco::Info &info, int) override
    {
        features = info.features();
        gotInfo = true;
    }
    void handleDiscoItems(const JID &, const Disco::Items &, int) override {}
    void handleDiscoError(const JID &, const Error *, int) override { fail("%s: disco error", label.c_str()); }

    void handleEvent(const Event &event) override { pong = event.eventType() == Event::PingPong; }

    void handleRegistrationFields(const JID &, int f, std::string) override
    {
        fields = (f & Registration::FieldUsername) && (f & Registration::FieldPassword);
    }
    void handleAlreadyRegistered(const JID &) override { fail("%s: already registered", label.c_str()); }
    void handleRegistrationResult(const JID &, RegistrationResult result) override { registered = result; }
    void handleDataForm(const JID &, const DataForm &) override {}
    void handleOOB(const JID &, const OOB &) override {}
};

#endif
