/*M!999999\- enable the sandbox mode */ 
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: e
-- ------------------------------------------------------
-- Server version	10.11.19-MariaDB-0+deb12u1

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;

--
-- Table structure for table `users`
--

DROP TABLE IF EXISTS `users`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `users` (
  `username` varchar(191) NOT NULL,
  `password` text NOT NULL,
  `serverkey` varchar(128) NOT NULL DEFAULT '',
  `salt` varchar(128) NOT NULL DEFAULT '',
  `iterationcount` int(11) NOT NULL DEFAULT 0,
  `created_at` timestamp NOT NULL DEFAULT current_timestamp(),
  PRIMARY KEY (`username`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `users`
--

LOCK TABLES `users` WRITE;
/*!40000 ALTER TABLE `users` DISABLE KEYS */;
INSERT INTO `users` VALUES
('juliet','R1lyBx2CmuHX9u79FNVCgJXa7y0=','fGR1BSvzqy+pmBoPpw38LKRg7jM=','caksFf/QsIdb1+vkTdgqRQ==',4096,'2026-11-29 11:31:01'),
('mercutio','wvEdv77BoLB6DCJi0COY/iQBtSU=','h48khIp9XrCEy5IUP0/QZC/nDqw=','5wcZyMzf3ylNK+a0SlU37g==',4096,'2026-11-29 11:31:01'),
('romeo','z39U2r7iZut9ohce8pFfhEDB9fA=','/p6cOqhTw+diZftU9H6F3lKgrkc=','vZgkXSna+DMqVfW/Ti10kQ==',4096,'2026-11-29 11:31:01');
/*!40000 ALTER TABLE `users` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `last`
--

DROP TABLE IF EXISTS `last`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `last` (
  `username` varchar(191) NOT NULL,
  `seconds` text NOT NULL,
  `state` text NOT NULL,
  PRIMARY KEY (`username`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `last`
--

LOCK TABLES `last` WRITE;
/*!40000 ALTER TABLE `last` DISABLE KEYS */;
INSERT INTO `last` VALUES
('juliet','1795951865','Good night'),
('mercutio','1795951861','Registered but didn\'t login'),
('romeo','1795951868','Stream reset by peer');
/*!40000 ALTER TABLE `last` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `rosterusers`
--

DROP TABLE IF EXISTS `rosterusers`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `rosterusers` (
  `username` varchar(191) NOT NULL,
  `jid` varchar(191) NOT NULL,
  `nick` text NOT NULL,
  `subscription` char(1) NOT NULL,
  `ask` char(1) NOT NULL,
  `askmessage` text NOT NULL,
  `server` char(1) NOT NULL,
  `subscribe` text NOT NULL,
  `type` text DEFAULT NULL,
  `created_at` timestamp NOT NULL DEFAULT current_timestamp(),
  UNIQUE KEY `i_rosteru_user_jid` (`username`(75),`jid`(75)),
  KEY `i_rosteru_username` (`username`),
  KEY `i_rosteru_jid` (`jid`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `rosterusers`
--

LOCK TABLES `rosterusers` WRITE;
/*!40000 ALTER TABLE `rosterusers` DISABLE KEYS */;
INSERT INTO `rosterusers` VALUES
('juliet','romeo@localhost','Romeo & <Co> ä\"','T','I','','N','','item','2026-11-29 11:31:03'),
('juliet','nurse@example.org','Nurse','N','N','','N','','item','2026-11-29 11:31:03'),
('romeo','juliet@localhost','','B','N','','N','','item','2026-11-29 11:31:03'),
('juliet','mercutio@localhost','','N','O','','N','','item','2026-11-29 11:31:04'),
('mercutio','juliet@localhost','','N','I','','N','','item','2026-11-29 11:31:04');
/*!40000 ALTER TABLE `rosterusers` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `rostergroups`
--

DROP TABLE IF EXISTS `rostergroups`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `rostergroups` (
  `username` varchar(191) NOT NULL,
  `jid` varchar(191) NOT NULL,
  `grp` text NOT NULL,
  KEY `pk_rosterg_user_jid` (`username`(75),`jid`(75))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `rostergroups`
--

LOCK TABLES `rostergroups` WRITE;
/*!40000 ALTER TABLE `rostergroups` DISABLE KEYS */;
INSERT INTO `rostergroups` VALUES
('juliet','romeo@localhost','Friends'),
('juliet','romeo@localhost','Verona');
/*!40000 ALTER TABLE `rostergroups` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `spool`
--

DROP TABLE IF EXISTS `spool`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `spool` (
  `username` varchar(191) NOT NULL,
  `xml` mediumtext NOT NULL,
  `seq` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  `created_at` timestamp NOT NULL DEFAULT current_timestamp(),
  UNIQUE KEY `seq` (`seq`),
  KEY `i_despool` (`username`) USING BTREE,
  KEY `i_spool_created_at` (`created_at`) USING BTREE
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `spool`
--

LOCK TABLES `spool` WRITE;
/*!40000 ALTER TABLE `spool` DISABLE KEYS */;
INSERT INTO `spool` VALUES
('juliet','<message xml:lang=\'en\' to=\'juliet@localhost\' from=\'romeo@localhost/r\' type=\'chat\' id=\'m1\' xmlns=\'jabber:client\'><active xmlns=\'http://jabber.org/protocol/chatstates\'/><delay from=\'localhost\' stamp=\'2026-11-29T11:31:07.069585Z\' xmlns=\'urn:xmpp:delay\'>Offline Storage</delay><body>Where &amp; are &quot;you&quot;? ä</body></message>',1,'2026-11-29 11:31:07'),
('juliet','<message xml:lang=\'en\' to=\'juliet@localhost\' from=\'romeo@localhost/r\' type=\'chat\' id=\'m2\' xmlns=\'jabber:client\'><delay from=\'localhost\' stamp=\'2026-11-29T11:31:07.099422Z\' xmlns=\'urn:xmpp:delay\'>Offline Storage</delay><body>second</body></message>',2,'2026-11-29 11:31:07'),
('romeo','<message from=\"a@b\"><body>a\\b\nc\'d</body></message>',3,'2026-11-29 14:26:17');
/*!40000 ALTER TABLE `spool` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `vcard`
--

DROP TABLE IF EXISTS `vcard`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `vcard` (
  `username` varchar(191) NOT NULL,
  `vcard` mediumtext NOT NULL,
  `created_at` timestamp NOT NULL DEFAULT current_timestamp(),
  PRIMARY KEY (`username`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `vcard`
--

LOCK TABLES `vcard` WRITE;
/*!40000 ALTER TABLE `vcard` DISABLE KEYS */;
INSERT INTO `vcard` VALUES
('juliet','<vCard xmlns=\'vcard-temp\'><N><FAMILY>C</FAMILY></N><FN>Juliet Capulet</FN></vCard>','2026-11-29 11:31:04');
/*!40000 ALTER TABLE `vcard` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `vcard_search`
--

DROP TABLE IF EXISTS `vcard_search`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `vcard_search` (
  `username` varchar(191) NOT NULL,
  `lusername` varchar(191) NOT NULL,
  `fn` text NOT NULL,
  `lfn` varchar(191) NOT NULL,
  `family` text NOT NULL,
  `lfamily` varchar(191) NOT NULL,
  `given` text NOT NULL,
  `lgiven` varchar(191) NOT NULL,
  `middle` text NOT NULL,
  `lmiddle` varchar(191) NOT NULL,
  `nickname` text NOT NULL,
  `lnickname` varchar(191) NOT NULL,
  `bday` text NOT NULL,
  `lbday` varchar(191) NOT NULL,
  `ctry` text NOT NULL,
  `lctry` varchar(191) NOT NULL,
  `locality` text NOT NULL,
  `llocality` varchar(191) NOT NULL,
  `email` text NOT NULL,
  `lemail` varchar(191) NOT NULL,
  `orgname` text NOT NULL,
  `lorgname` varchar(191) NOT NULL,
  `orgunit` text NOT NULL,
  `lorgunit` varchar(191) NOT NULL,
  PRIMARY KEY (`lusername`),
  KEY `i_vcard_search_lfn` (`lfn`),
  KEY `i_vcard_search_lfamily` (`lfamily`),
  KEY `i_vcard_search_lgiven` (`lgiven`),
  KEY `i_vcard_search_lmiddle` (`lmiddle`),
  KEY `i_vcard_search_lnickname` (`lnickname`),
  KEY `i_vcard_search_lbday` (`lbday`),
  KEY `i_vcard_search_lctry` (`lctry`),
  KEY `i_vcard_search_llocality` (`llocality`),
  KEY `i_vcard_search_lemail` (`lemail`),
  KEY `i_vcard_search_lorgname` (`lorgname`),
  KEY `i_vcard_search_lorgunit` (`lorgunit`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `vcard_search`
--

LOCK TABLES `vcard_search` WRITE;
/*!40000 ALTER TABLE `vcard_search` DISABLE KEYS */;
/*!40000 ALTER TABLE `vcard_search` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `privacy_default_list`
--

DROP TABLE IF EXISTS `privacy_default_list`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `privacy_default_list` (
  `username` varchar(191) NOT NULL,
  `name` varchar(191) NOT NULL,
  PRIMARY KEY (`username`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `privacy_default_list`
--

LOCK TABLES `privacy_default_list` WRITE;
/*!40000 ALTER TABLE `privacy_default_list` DISABLE KEYS */;
INSERT INTO `privacy_default_list` VALUES
('juliet','Blocked contacts');
/*!40000 ALTER TABLE `privacy_default_list` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `privacy_list`
--

DROP TABLE IF EXISTS `privacy_list`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `privacy_list` (
  `username` varchar(191) NOT NULL,
  `name` varchar(191) NOT NULL,
  `id` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  `created_at` timestamp NOT NULL DEFAULT current_timestamp(),
  UNIQUE KEY `id` (`id`),
  UNIQUE KEY `i_privacy_list_username_name` (`username`(75),`name`(75)) USING BTREE,
  KEY `i_privacy_list_username` (`username`) USING BTREE
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `privacy_list`
--

LOCK TABLES `privacy_list` WRITE;
/*!40000 ALTER TABLE `privacy_list` DISABLE KEYS */;
INSERT INTO `privacy_list` VALUES
('juliet','Blocked contacts',1,'2026-11-29 11:31:04');
/*!40000 ALTER TABLE `privacy_list` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `privacy_list_data`
--

DROP TABLE IF EXISTS `privacy_list_data`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `privacy_list_data` (
  `id` bigint(20) DEFAULT NULL,
  `t` char(1) NOT NULL,
  `value` text NOT NULL,
  `action` char(1) NOT NULL,
  `ord` decimal(10,0) NOT NULL,
  `match_all` tinyint(1) NOT NULL,
  `match_iq` tinyint(1) NOT NULL,
  `match_message` tinyint(1) NOT NULL,
  `match_presence_in` tinyint(1) NOT NULL,
  `match_presence_out` tinyint(1) NOT NULL,
  KEY `i_privacy_list_data_id` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `privacy_list_data`
--

LOCK TABLES `privacy_list_data` WRITE;
/*!40000 ALTER TABLE `privacy_list_data` DISABLE KEYS */;
INSERT INTO `privacy_list_data` VALUES
(1,'j','tybalt@example.org','d',0,1,0,0,0,0),
(1,'j','spam.example','d',0,1,0,0,0,0);
/*!40000 ALTER TABLE `privacy_list_data` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `private_storage`
--

DROP TABLE IF EXISTS `private_storage`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `private_storage` (
  `username` varchar(191) NOT NULL,
  `namespace` varchar(191) NOT NULL,
  `data` text NOT NULL,
  `created_at` timestamp NOT NULL DEFAULT current_timestamp(),
  UNIQUE KEY `i_private_storage_username_namespace` (`username`(75),`namespace`(75)) USING BTREE,
  KEY `i_private_storage_username` (`username`) USING BTREE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `private_storage`
--

LOCK TABLES `private_storage` WRITE;
/*!40000 ALTER TABLE `private_storage` DISABLE KEYS */;
INSERT INTO `private_storage` VALUES
('juliet','exodus:prefs','<exodus xmlns=\'exodus:prefs\'><defaultnick a=\'1\'>Jul &amp; x</defaultnick></exodus>','2026-11-29 11:31:04'),
('juliet','storage:bookmarks','<storage xmlns=\'storage:bookmarks\'><conference jid=\'room@conf.example\' autojoin=\'1\'><nick>J</nick></conference></storage>','2026-11-29 11:31:04');
/*!40000 ALTER TABLE `private_storage` ENABLE KEYS */;
UNLOCK TABLES;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

-- Dump completed on 2026-11-29 14:26:17
