"""Oracle Net (TNS) and the calls inside it (TTC), 11g to 23ai."""
