// Scenarios for gloox (C++) that use the library's managers: roster, vCard,
// registration, private storage, last activity, disco. One process runs one or
// two clients in the same loop.
//
//   session SCENARIO
//
// The environment has the server and the accounts, see the README.

#include <ctime>
#include <functional>
#include <vector>

#include "session.h"

static const int timeoutSeconds = 20; // seconds

using Sessions = std::vector<Session *>;

// Runs the sessions until the condition is true.
static void until(const std::string &what, const Sessions &sessions, const std::function<bool()> &so)
{
    time_t late = time(nullptr) + timeoutSeconds;
    while (!so()) {
        if (time(nullptr) > late)
            fail("never came: %s", what.c_str());
        for (Session *s : sessions)
            s->step();
    }
}

static void online(Session &s)
{
    until(s.label + " logs in", {&s}, [&] { return s.bound || s.gone; });
    check(s.bound, s.label + " logged in (error " + std::to_string(s.why) + "/" + std::to_string(s->authError()) + ")");
    until(s.label + "'s roster", {&s}, [&] { return s.rosterCame; });
}

static std::string user(const char *name) { return environment((std::string("INTEROP_USER_") + name).c_str()); }

static std::string secret() { return environment("INTEROP_PASSWORD"); }

static void login(int mechanisms, bool direct)
{
    Session s(user("A") + "/gloox", secret(), mechanisms, direct);
    online(s);
    check(s.full() == user("A") + "/gloox", "bound to " + s.full());
    check(direct || s.certificate == CertOk, "certificate status " + std::to_string(s.certificate));
    Session second(user("A"), secret(), mechanisms, direct);
    online(second);
    check(!second->resource().empty() && second.bare() == user("A"), "bound to " + second.full());
    s.say(second.full(), "to the second");
    until("a message between two resources", {&s, &second}, [&] { return !second.messages.empty(); });
    check(second.messages[0].body == "to the second" && second.messages[0].from == s.full(), "the message");
}

static void refused()
{
    Session wrong(user("A"), "not it", SaslMechPlain);
    until("refusal", {&wrong}, [&] { return wrong.bound || wrong.gone; });
    check(wrong.gone && wrong.why == ConnAuthenticationFailed, "refused with " + std::to_string(wrong.why));
    check(wrong->authError() == SaslNotAuthorized, "refused with " + std::to_string(wrong->authError()));
    Session stranger(user("A"), secret(), 0, false, false);
    until("distrust", {&stranger}, [&] { return stranger.bound || stranger.gone; });
    check(stranger.gone && stranger.certificate != CertOk, "an unknown certificate is not accepted");
}

static void befriend(Session &a, Session &b)
{
    a->rosterManager()->subscribe(JID(b.bare()), "B", {"Friends"}, "please");
    until("the request", {&a, &b}, [&] { return !b.asked.empty(); });
    check(b.asked[0] == a.bare(), "asked by " + b.asked[0]);
    b->rosterManager()->ackSubscriptionRequest(JID(a.bare()), true);
    b->rosterManager()->subscribe(JID(a.bare()));
    until("the request back", {&a, &b}, [&] { return !a.asked.empty(); });
    a->rosterManager()->ackSubscriptionRequest(JID(b.bare()), true);
    until("both", {&a, &b}, [&] {
        return a.subscription(b.bare()) == S10nBoth && b.subscription(a.bare()) == S10nBoth;
    });
    until("presence", {&a, &b}, [&] { return a.seen(b.full()) && b.seen(a.full()); });
}

static void friends()
{
    Session a(user("A") + "/a", secret()), b(user("B") + "/b", secret());
    online(a);
    online(b);
    befriend(a, b);
    RosterItem *item = a->rosterManager()->getRosterItem(JID(b.bare()));
    check(item->name() == "B" && item->groups() == StringList{"Friends"}, "name and group of the item");

    a->setPresence(Presence::Away, 7, "a < b & c");
    until("the change", {&a, &b}, [&] {
        const Resource *r = b.seen(a.full());
        return r && r->presence() == Presence::Away && r->priority() == 7 && r->message() == "a < b & c";
    });

    a.say(b.bare(), "bare");
    a.say(b.full(), "full \xc3\xa4 & <>");
    until("two messages", {&a, &b}, [&] { return b.messages.size() == 2; });
    check(b.messages[0].body == "bare" && b.messages[1].body == "full \xc3\xa4 & <>" && b.messages[1].from == a.full(), "the messages");

    VCard *card = new VCard();
    card->setFormattedname("Romeo <&>");
    card->setName("Montague", "Romeo");
    card->setPhoto("image/png", std::string(300, '\x7f'));
    a.storeCard(card);
    until("the card is stored", {&a, &b}, [&] { return a.stored != 0; });
    check(a.stored == 1, "the card was stored");
    b.fetchCard(a.bare());
    until("the card", {&a, &b}, [&] { return b.vcards == 1; });
    check(b.fullName == "Romeo <&>", "the card says " + b.fullName);

    Tag *tag = new Tag("prefs", "xmlns", "urn:example:prefs");
    tag->setCData("kept & safe");
    a.keep(tag);
    until("private data stored", {&a, &b}, [&] { return a.keptIn.empty(); });
    a.remember("prefs", "urn:example:prefs");
    until("private data", {&a, &b}, [&] { return a.kept == "kept & safe"; });

    std::string domain = environment("INTEROP_DOMAIN");
    a.askInfo(domain);
    until("disco", {&a, &b}, [&] { return a.gotInfo; });
    bool vcard = false;
    for (const std::string &f : a.features)
        vcard = vcard || f == "vcard-temp";
    check(vcard, "vcard-temp among the features");
    a.ping(domain);
    until("pong", {&a, &b}, [&] { return a.pong; });

    // Last activity of a client that has left; messages for it are stored.
    b.leave();
    until("b unavailable", {&a}, [&] { return !a.seen(b.full()); });
    a.askIdle(b.bare());
    until("last activity", {&a}, [&] { return a.idle >= 0 || a.idleError >= 0; });
    check(a.idle >= 0 && a.idle < 300, "last activity " + std::to_string(a.idle));
    a.say(b.bare(), "waits 1");
    a.say(b.bare(), "waits 2");
    a.pong = false;
    a.ping(domain);
    until("pong", {&a}, [&] { return a.pong; });
    Session again(user("B") + "/again", secret());
    online(again);
    until("stored messages", {&a, &again}, [&] { return again.messages.size() == 2; });
    check(again.messages[0].body == "waits 1" && again.messages[1].body == "waits 2", "the order of stored messages");
    check(again.messages[0].delayed && again.messages[1].delayed, "stored messages carry their time");
    until("b again", {&a, &again}, [&] { return a.seen(again.full()) && again.seen(a.full()); });

    a->rosterManager()->remove(JID(b.bare()));
    a->rosterManager()->synchronize();
    until("removal", {&a, &again}, [&] {
        return !a->rosterManager()->getRosterItem(JID(b.bare())) && again.subscription(a.bare()) == S10nNone;
    });
}

static void newcomer()
{
    std::string name = "gloox-" + std::to_string(time(nullptr)) + std::to_string(getpid());
    std::string domain = environment("INTEROP_DOMAIN");
    RegistrationFields values;
    values.username = name;
    values.password = "first";
    {
        Session s(domain);
        until("connected", {&s}, [&] { return s.bound || s.gone; });
        check(s.bound, "connected without an account");
        s.registration->fetchRegistrationFields();
        until("the form", {&s}, [&] { return s.fields; });
        check(s.registration->createAccount(Registration::FieldUsername | Registration::FieldPassword, values), "sent");
        until("registered", {&s}, [&] { return s.registered >= 0; });
        check(s.registered == RegistrationSuccess, "registered: " + std::to_string(s.registered));
    }
    {
        Session taken(domain);
        until("connected", {&taken}, [&] { return taken.bound || taken.gone; });
        taken.registration->createAccount(Registration::FieldUsername | Registration::FieldPassword, values);
        until("refused", {&taken}, [&] { return taken.registered >= 0; });
        check(taken.registered == RegistrationConflict, "a name taken: " + std::to_string(taken.registered));
    }
    Session s(name + "@" + domain + "/r", "first");
    online(s);
    Registration change(s.operator->());
    struct Result : RegistrationHandler
    {
        int result = -1;
        void handleRegistrationFields(const JID &, int, std::string) override {}
        void handleAlreadyRegistered(const JID &) override {}
        void handleRegistrationResult(const JID &, RegistrationResult r) override { result = r; }
        void handleDataForm(const JID &, const DataForm &) override {}
        void handleOOB(const JID &, const OOB &) override {}
    } result;
    change.registerRegistrationHandler(&result);
    change.changePassword(name, "second");
    until("password changed", {&s}, [&] { return result.result >= 0; });
    check(result.result == RegistrationSuccess, "password changed: " + std::to_string(result.result));
    s.leave();
    Session with(name + "@" + domain, "second");
    online(with);
    Session without(name + "@" + domain, "first", SaslMechPlain);
    until("the old password refused", {&without}, [&] { return without.bound || without.gone; });
    check(without.gone, "the old password does not work");
}

static void conflict()
{
    Session older(user("A") + "/same", secret());
    online(older);
    Session newer(user("A") + "/same", secret());
    online(newer);
    until("the older one's end", {&older, &newer}, [&] { return older.gone; });
    check(older.why == ConnStreamError && older.streamError == StreamErrorConflict,
          "ended with " + std::to_string(older.why) + "/" + std::to_string(older.streamError));
    newer.say(newer.full(), "to myself");
    until("a message to itself", {&newer}, [&] { return !newer.messages.empty(); });
}

int main(int argc, char **argv)
{
    std::string scenario = argc > 1 ? argv[1] : "";
    if (scenario == "login")
        login(0, false);
    else if (scenario == "plain")
        login(SaslMechPlain, false);
    else if (scenario == "direct")
        login(0, true);
    else if (scenario == "refused")
        refused();
    else if (scenario == "friends")
        friends();
    else if (scenario == "register")
        newcomer();
    else if (scenario == "conflict")
        conflict();
    else
        fail("no such scenario: %s", scenario.c_str());
    return 0;
}
