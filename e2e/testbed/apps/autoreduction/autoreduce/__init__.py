"""A stand-in for Autoreduction: four programs that share a database and a queue, as those of its people do."""
import pymysql

# Django asks for the client library in C by its version; this one is written in Python and speaks the same protocol.
pymysql.version_info = (2, 2, 7, "final", 0)
pymysql.install_as_MySQLdb()
