"""The command line, the course as an app or as web pages, and the doctor."""
