"""The telephone company: what its requests must look like, what its calls are answered, and how a call is put through or ended."""
