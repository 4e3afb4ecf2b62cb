//! The filter's pure core: configuration, routes, outcomes and annotations, with no host in it.
