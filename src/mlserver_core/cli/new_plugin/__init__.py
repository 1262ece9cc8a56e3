"""What ``mlserver init`` makes: names, files, and the folder."""
