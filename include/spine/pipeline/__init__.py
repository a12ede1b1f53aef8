"""One module per step of the way: extract, normalize, resolve, publish, maintain. Called by DAGs, Spark jobs and the command line alike."""
