DROP TABLE bans;
DROP TABLE known_networks;
DROP TABLE login_failures;
