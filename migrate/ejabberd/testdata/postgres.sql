--
-- PostgreSQL database dump
--

\restrict YvnLSmDlyawYXw2Gdtg9nJQ8f6dH8GH8hYo8SEKHQcfg72GuikvBvPVengoKQsX

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: archive; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.archive (
    username text NOT NULL,
    server_host text NOT NULL,
    "timestamp" bigint NOT NULL,
    peer text NOT NULL,
    bare_peer text NOT NULL,
    xml text NOT NULL,
    txt text,
    id integer NOT NULL,
    kind text,
    nick text,
    created_at timestamp without time zone DEFAULT now() NOT NULL
);


ALTER TABLE public.archive OWNER TO postgres;

--
-- Name: archive_id_seq; Type: SEQUENCE; Schema: public; Owner: postgres
--

CREATE SEQUENCE public.archive_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.archive_id_seq OWNER TO postgres;

--
-- Name: archive_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: postgres
--

ALTER SEQUENCE public.archive_id_seq OWNED BY public.archive.id;


--
-- Name: last; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.last (
    username text NOT NULL,
    server_host text NOT NULL,
    seconds text NOT NULL,
    state text NOT NULL
);


ALTER TABLE public.last OWNER TO postgres;

--
-- Name: privacy_default_list; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.privacy_default_list (
    username text NOT NULL,
    server_host text NOT NULL,
    name text NOT NULL
);


ALTER TABLE public.privacy_default_list OWNER TO postgres;

--
-- Name: privacy_list; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.privacy_list (
    username text NOT NULL,
    server_host text NOT NULL,
    name text NOT NULL,
    id integer NOT NULL,
    created_at timestamp without time zone DEFAULT now() NOT NULL
);


ALTER TABLE public.privacy_list OWNER TO postgres;

--
-- Name: privacy_list_data; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.privacy_list_data (
    id bigint,
    t character(1) NOT NULL,
    value text NOT NULL,
    action character(1) NOT NULL,
    ord numeric NOT NULL,
    match_all boolean NOT NULL,
    match_iq boolean NOT NULL,
    match_message boolean NOT NULL,
    match_presence_in boolean NOT NULL,
    match_presence_out boolean NOT NULL
);


ALTER TABLE public.privacy_list_data OWNER TO postgres;

--
-- Name: privacy_list_id_seq; Type: SEQUENCE; Schema: public; Owner: postgres
--

CREATE SEQUENCE public.privacy_list_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.privacy_list_id_seq OWNER TO postgres;

--
-- Name: privacy_list_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: postgres
--

ALTER SEQUENCE public.privacy_list_id_seq OWNED BY public.privacy_list.id;


--
-- Name: private_storage; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.private_storage (
    username text NOT NULL,
    server_host text NOT NULL,
    namespace text NOT NULL,
    data text NOT NULL,
    created_at timestamp without time zone DEFAULT now() NOT NULL
);


ALTER TABLE public.private_storage OWNER TO postgres;

--
-- Name: rostergroups; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.rostergroups (
    username text NOT NULL,
    server_host text NOT NULL,
    jid text NOT NULL,
    grp text NOT NULL
);


ALTER TABLE public.rostergroups OWNER TO postgres;

--
-- Name: rosterusers; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.rosterusers (
    username text NOT NULL,
    server_host text NOT NULL,
    jid text NOT NULL,
    nick text NOT NULL,
    subscription character(1) NOT NULL,
    ask character(1) NOT NULL,
    askmessage text NOT NULL,
    server character(1) NOT NULL,
    subscribe text NOT NULL,
    type text,
    created_at timestamp without time zone DEFAULT now() NOT NULL
);


ALTER TABLE public.rosterusers OWNER TO postgres;

--
-- Name: spool; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.spool (
    username text NOT NULL,
    server_host text NOT NULL,
    xml text NOT NULL,
    seq integer NOT NULL,
    created_at timestamp without time zone DEFAULT now() NOT NULL
);


ALTER TABLE public.spool OWNER TO postgres;

--
-- Name: spool_seq_seq; Type: SEQUENCE; Schema: public; Owner: postgres
--

CREATE SEQUENCE public.spool_seq_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.spool_seq_seq OWNER TO postgres;

--
-- Name: spool_seq_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: postgres
--

ALTER SEQUENCE public.spool_seq_seq OWNED BY public.spool.seq;


--
-- Name: users; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.users (
    username text NOT NULL,
    server_host text NOT NULL,
    password text NOT NULL,
    serverkey text DEFAULT ''::text NOT NULL,
    salt text DEFAULT ''::text NOT NULL,
    iterationcount integer DEFAULT 0 NOT NULL,
    created_at timestamp without time zone DEFAULT now() NOT NULL
);


ALTER TABLE public.users OWNER TO postgres;

--
-- Name: vcard; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.vcard (
    username text NOT NULL,
    server_host text NOT NULL,
    vcard text NOT NULL,
    created_at timestamp without time zone DEFAULT now() NOT NULL
);


ALTER TABLE public.vcard OWNER TO postgres;

--
-- Name: archive id; Type: DEFAULT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.archive ALTER COLUMN id SET DEFAULT nextval('public.archive_id_seq'::regclass);


--
-- Name: privacy_list id; Type: DEFAULT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.privacy_list ALTER COLUMN id SET DEFAULT nextval('public.privacy_list_id_seq'::regclass);


--
-- Name: spool seq; Type: DEFAULT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.spool ALTER COLUMN seq SET DEFAULT nextval('public.spool_seq_seq'::regclass);


--
-- Data for Name: archive; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.archive (username, server_host, "timestamp", peer, bare_peer, xml, txt, id, kind, nick, created_at) FROM stdin;
juliet	localhost	1	p	p	<message/>\n	t	1	chat		2026-11-29 14:21:41.756753
\.


--
-- Data for Name: last; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.last (username, server_host, seconds, state) FROM stdin;
juliet	localhost	1795951865	Good night
romeo	localhost	1795951868	Stream reset by peer
mercutio	localhost	1795951861	Registered but didn't login
\.


--
-- Data for Name: privacy_default_list; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.privacy_default_list (username, server_host, name) FROM stdin;
juliet	localhost	Blocked contacts
\.


--
-- Data for Name: privacy_list; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.privacy_list (username, server_host, name, id, created_at) FROM stdin;
juliet	localhost	Blocked contacts	1	2026-11-29 11:31:04
\.


--
-- Data for Name: privacy_list_data; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.privacy_list_data (id, t, value, action, ord, match_all, match_iq, match_message, match_presence_in, match_presence_out) FROM stdin;
1	j	tybalt@example.org	d	0	t	f	f	f	f
1	j	spam.example	d	0	t	f	f	f	f
\.


--
-- Data for Name: private_storage; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.private_storage (username, server_host, namespace, data, created_at) FROM stdin;
juliet	localhost	exodus:prefs	<exodus xmlns='exodus:prefs'><defaultnick a='1'>Jul &amp; x</defaultnick></exodus>	2026-11-29 11:31:04
juliet	localhost	storage:bookmarks	<storage xmlns='storage:bookmarks'><conference jid='room@conf.example' autojoin='1'><nick>J</nick></conference></storage>	2026-11-29 11:31:04
\.


--
-- Data for Name: rostergroups; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.rostergroups (username, server_host, jid, grp) FROM stdin;
juliet	localhost	romeo@localhost	Friends
juliet	localhost	romeo@localhost	Verona
\.


--
-- Data for Name: rosterusers; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.rosterusers (username, server_host, jid, nick, subscription, ask, askmessage, server, subscribe, type, created_at) FROM stdin;
juliet	localhost	romeo@localhost	Romeo & <Co> ä"	T	I		N		item	2026-11-29 11:31:03
juliet	localhost	nurse@example.org	Nurse	N	N		N		item	2026-11-29 11:31:03
romeo	localhost	juliet@localhost		B	N		N		item	2026-11-29 11:31:03
juliet	localhost	mercutio@localhost		N	O		N		item	2026-11-29 11:31:04
mercutio	localhost	juliet@localhost		N	I		N		item	2026-11-29 11:31:04
\.


--
-- Data for Name: spool; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.spool (username, server_host, xml, seq, created_at) FROM stdin;
juliet	localhost	<message xml:lang='en' to='juliet@localhost' from='romeo@localhost/r' type='chat' id='m1' xmlns='jabber:client'><active xmlns='http://jabber.org/protocol/chatstates'/><delay from='localhost' stamp='2026-11-29T11:31:07.069585Z' xmlns='urn:xmpp:delay'>Offline Storage</delay><body>Where &amp; are &quot;you&quot;? ä</body></message>	1	2026-11-29 11:31:07
juliet	localhost	<message xml:lang='en' to='juliet@localhost' from='romeo@localhost/r' type='chat' id='m2' xmlns='jabber:client'><delay from='localhost' stamp='2026-11-29T11:31:07.099422Z' xmlns='urn:xmpp:delay'>Offline Storage</delay><body>second</body></message>	2	2026-11-29 11:31:07
\.


--
-- Data for Name: users; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.users (username, server_host, password, serverkey, salt, iterationcount, created_at) FROM stdin;
juliet	localhost	R1lyBx2CmuHX9u79FNVCgJXa7y0=	fGR1BSvzqy+pmBoPpw38LKRg7jM=	caksFf/QsIdb1+vkTdgqRQ==	4096	2026-11-29 11:31:01
romeo	localhost	z39U2r7iZut9ohce8pFfhEDB9fA=	/p6cOqhTw+diZftU9H6F3lKgrkc=	vZgkXSna+DMqVfW/Ti10kQ==	4096	2026-11-29 11:31:01
mercutio	localhost	wvEdv77BoLB6DCJi0COY/iQBtSU=	h48khIp9XrCEy5IUP0/QZC/nDqw=	5wcZyMzf3ylNK+a0SlU37g==	4096	2026-11-29 11:31:01
\.


--
-- Data for Name: vcard; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.vcard (username, server_host, vcard, created_at) FROM stdin;
juliet	localhost	<vCard xmlns='vcard-temp'><N><FAMILY>C</FAMILY></N><FN>Juliet Capulet</FN></vCard>	2026-11-29 11:31:04
\.


--
-- Name: archive_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.archive_id_seq', 1, true);


--
-- Name: privacy_list_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.privacy_list_id_seq', 1, false);


--
-- Name: spool_seq_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.spool_seq_seq', 1, false);


--
-- Name: last last_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.last
    ADD CONSTRAINT last_pkey PRIMARY KEY (server_host, username);


--
-- Name: privacy_default_list privacy_default_list_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.privacy_default_list
    ADD CONSTRAINT privacy_default_list_pkey PRIMARY KEY (server_host, username);


--
-- Name: privacy_list privacy_list_id_key; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.privacy_list
    ADD CONSTRAINT privacy_list_id_key UNIQUE (id);


--
-- Name: private_storage private_storage_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.private_storage
    ADD CONSTRAINT private_storage_pkey PRIMARY KEY (server_host, username, namespace);


--
-- Name: users users_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (server_host, username);


--
-- Name: vcard vcard_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.vcard
    ADD CONSTRAINT vcard_pkey PRIMARY KEY (server_host, username);


--
-- Name: i_archive_sh_timestamp; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX i_archive_sh_timestamp ON public.archive USING btree (server_host, "timestamp");


--
-- Name: i_archive_sh_username_bare_peer; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX i_archive_sh_username_bare_peer ON public.archive USING btree (server_host, username, bare_peer);


--
-- Name: i_archive_sh_username_peer; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX i_archive_sh_username_peer ON public.archive USING btree (server_host, username, peer);


--
-- Name: i_archive_sh_username_timestamp; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX i_archive_sh_username_timestamp ON public.archive USING btree (server_host, username, "timestamp");


--
-- Name: i_privacy_list_data_id; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX i_privacy_list_data_id ON public.privacy_list_data USING btree (id);


--
-- Name: i_privacy_list_sh_username; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX i_privacy_list_sh_username ON public.privacy_list USING btree (server_host, username);


--
-- Name: i_privacy_list_sh_username_name; Type: INDEX; Schema: public; Owner: postgres
--

CREATE UNIQUE INDEX i_privacy_list_sh_username_name ON public.privacy_list USING btree (server_host, username, name);


--
-- Name: i_private_storage_sh_username; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX i_private_storage_sh_username ON public.private_storage USING btree (server_host, username);


--
-- Name: i_rosterg_sh_user_jid; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX i_rosterg_sh_user_jid ON public.rostergroups USING btree (server_host, username, jid);


--
-- Name: i_rosteru_sh_jid; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX i_rosteru_sh_jid ON public.rosterusers USING btree (server_host, jid);


--
-- Name: i_rosteru_sh_user_jid; Type: INDEX; Schema: public; Owner: postgres
--

CREATE UNIQUE INDEX i_rosteru_sh_user_jid ON public.rosterusers USING btree (server_host, username, jid);


--
-- Name: i_rosteru_sh_username; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX i_rosteru_sh_username ON public.rosterusers USING btree (server_host, username);


--
-- Name: i_spool_sh_username; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX i_spool_sh_username ON public.spool USING btree (server_host, username);


--
-- Name: privacy_list_data privacy_list_data_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.privacy_list_data
    ADD CONSTRAINT privacy_list_data_id_fkey FOREIGN KEY (id) REFERENCES public.privacy_list(id) ON DELETE CASCADE;


--
-- PostgreSQL database dump complete
--

\unrestrict YvnLSmDlyawYXw2Gdtg9nJQ8f6dH8GH8hYo8SEKHQcfg72GuikvBvPVengoKQsX

