"""The notebook's side: asks the service, draws what it says, and puts its questions to a person."""
