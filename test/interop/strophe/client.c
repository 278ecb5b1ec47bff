/*
 * A libstrophe client that reads commands and writes events, so that scenarios
 * can be written in Go while the library connects, negotiates TLS, SASL and
 * resource binding, and reads and writes stanzas.
 *
 *   client JID PASSWORD HOST PORT CAFILE login|direct|raw|resume
 *
 * Standard input, one command per line:
 *   <...>     a stanza: parsed by the library, then sent by it
 *   =...      bytes that are sent unchanged
 *   @close    close the stream
 *   @tls      (raw) start TLS now, and open the stream again
 *   @flush    write all that was sent before
 *   @connect  (resume) after the connection has ended: connect again, resume the
 *             session, and then send what was sent or not written meanwhile
 * Standard output, one event per line:
 *   <...>               a received stanza
 *   @connected JID TLS  the session is bound; TLS is 1 if it is encrypted
 *   @open               (raw) the connection is established, the stream is opened
 *   @flushed            the response to @flush
 *   @closed ERRNO CONDITION   the connection ended; CONDITION is the number
 *                       of the stream error, or -1
 * Standard error: the library's debug log, with everything on the wire.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <strophe.h>

static char line[1 << 20];
static size_t filled;
static int ended;

/* Of mode resume. */
static int resuming;
static int lost;               /* the connection has ended */
static xmpp_sm_state_t *state; /* of the connection that has ended */
static char *unsent[1024];
static size_t unsents;

static void keep(const char *text)
{
    if (unsents == sizeof unsent / sizeof *unsent) {
        fprintf(stderr, "too many stanzas wait\n");
        exit(2);
    }
    unsent[unsents++] = strdup(text);
}

/* Takes from a connection that has ended what the next one needs. */
static void take_over(xmpp_conn_t *conn)
{
    char *text;

    lost = 1;
    while ((text = xmpp_conn_send_queue_drop_element(conn, XMPP_QUEUE_OLDEST))) {
        keep(text);
        xmpp_free(xmpp_conn_get_context(conn), text);
    }
    state = xmpp_conn_get_sm_state(conn);
}

static void send_unsent(xmpp_conn_t *conn)
{
    size_t i;

    lost = 0;
    for (i = 0; i < unsents; i++) {
        xmpp_send_raw(conn, unsent[i], strlen(unsent[i]));
        free(unsent[i]);
    }
    unsents = 0;
}

/* Writes a stanza on one line: line ends in its text become references. */
static void tell(xmpp_stanza_t *stanza)
{
    char *text, *c;
    size_t size;

    if (xmpp_stanza_to_text(stanza, &text, &size) != XMPP_EOK)
        return;
    for (c = text; *c; c++) {
        if (*c == '\n')
            fputs("&#10;", stdout);
        else
            putchar(*c);
    }
    putchar('\n');
    fflush(stdout);
    xmpp_free(xmpp_stanza_get_context(stanza), text);
}

static int on_stanza(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *userdata)
{
    (void)conn;
    (void)userdata;
    tell(stanza);
    return 1;
}

static void on_event(xmpp_conn_t *conn,
                     xmpp_conn_event_t event,
                     int error,
                     xmpp_stream_error_t *stream_error,
                     void *userdata)
{
    xmpp_ctx_t *ctx = userdata;

    switch (event) {
    case XMPP_CONN_CONNECT:
        xmpp_handler_add(conn, on_stanza, NULL, NULL, NULL, NULL);
        printf("@connected %s %d\n", xmpp_conn_get_bound_jid(conn),
               xmpp_conn_is_secured(conn));
        send_unsent(conn);
        break;
    case XMPP_CONN_RAW_CONNECT:
        xmpp_handler_add(conn, on_stanza, NULL, NULL, NULL, NULL);
        xmpp_conn_open_stream_default(conn);
        printf("@open\n");
        break;
    default:
        printf("@closed %d %d\n", error,
               stream_error ? (int)stream_error->type : -1);
        if (resuming) {
            take_over(conn);
        } else {
            ended = 1;
            xmpp_stop(ctx);
        }
    }
    fflush(stdout);
}

/* Connects; main has checked argv. */
static xmpp_conn_t *dial(xmpp_ctx_t *ctx, char **argv)
{
    xmpp_conn_t *conn = xmpp_conn_new(ctx);
    int raw = strcmp(argv[6], "raw") == 0, status;

    xmpp_conn_set_jid(conn, argv[1]);
    xmpp_conn_set_pass(conn, argv[2]);
    if (argv[5][0])
        xmpp_conn_set_cafile(conn, argv[5]);
    xmpp_conn_set_flags(conn, strcmp(argv[6], "direct") == 0 ? XMPP_CONN_FLAG_LEGACY_SSL
                                                             : XMPP_CONN_FLAG_MANDATORY_TLS);
    if (state && xmpp_conn_set_sm_state(conn, state) != XMPP_EOK) {
        fprintf(stderr, "the state was not accepted\n");
        exit(2);
    }
    state = NULL;
    status = (raw ? xmpp_connect_raw : xmpp_connect_client)(
        conn, argv[3], (unsigned short)atoi(argv[4]), on_event, ctx);
    if (status != XMPP_EOK) {
        fprintf(stderr, "cannot connect: %d\n", status);
        exit(1);
    }
    return conn;
}

/* Carries out a command. Returns the connection, which is another one after
 * @connect. */
static xmpp_conn_t *obey(xmpp_conn_t *conn, char *command, char **argv)
{
    xmpp_ctx_t *ctx = xmpp_conn_get_context(conn);
    xmpp_stanza_t *stanza;

    if (strcmp(command, "@connect") == 0) {
        xmpp_conn_release(conn);
        conn = dial(ctx, argv);
    } else if (strcmp(command, "@flush") == 0) {
        while (!ended && !lost && xmpp_conn_send_queue_len(conn) > 0)
            xmpp_run_once(ctx, 5);
        printf("@flushed\n");
        fflush(stdout);
    } else if (lost) {
        keep(command);
    } else if (command[0] == '=') {
        xmpp_send_raw(conn, command + 1, strlen(command + 1));
    } else if (strcmp(command, "@close") == 0) {
        xmpp_disconnect(conn);
    } else if (strcmp(command, "@tls") == 0) {
        if (xmpp_conn_tls_start(conn) == 0)
            xmpp_conn_open_stream_default(conn);
    } else {
        stanza = xmpp_stanza_new_from_string(ctx, command);
        if (!stanza) {
            fprintf(stderr, "not a stanza: %s\n", command);
            exit(2);
        }
        xmpp_send(conn, stanza);
        xmpp_stanza_release(stanza);
    }
    return conn;
}

/* Reads available input without waiting; exits at its end. */
static xmpp_conn_t *take_orders(xmpp_conn_t *conn, char **argv)
{
    struct pollfd in = {.fd = 0, .events = POLLIN};
    char *end;
    ssize_t n;

    while (poll(&in, 1, 0) > 0) {
        n = read(0, line + filled, sizeof line - 1 - filled);
        if (n <= 0)
            exit(0);
        filled += n;
        line[filled] = 0;
        while ((end = strchr(line, '\n'))) {
            *end = 0;
            conn = obey(conn, line, argv);
            filled -= end + 1 - line;
            memmove(line, end + 1, filled + 1);
        }
    }
    return conn;
}

int main(int argc, char **argv)
{
    xmpp_ctx_t *ctx;
    xmpp_conn_t *conn;

    if (argc != 7) {
        fprintf(stderr, "client JID PASSWORD HOST PORT CAFILE login|direct|raw|resume\n");
        return 2;
    }
    resuming = strcmp(argv[6], "resume") == 0;
    xmpp_initialize();
    ctx = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_DEBUG));
    conn = dial(ctx, argv);
    while (!ended) {
        xmpp_run_once(ctx, 5);
        if (!ended)
            conn = take_orders(conn, argv);
    }
    xmpp_conn_release(conn);
    xmpp_ctx_free(ctx);
    xmpp_shutdown();
    return 0;
}
